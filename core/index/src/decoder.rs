//! Which logs to follow, and what they say: the submitter knows.

use set_host::SubmitterClient;
use set_types::{DecodeRequest, DecodeResponse, LogFilter};

/// The part of a submitter that the follower asks.
pub trait LogDecoder: Send + Sync + 'static {
    /// Which logs tell that commitments were made. Asked before each step, because a submitter may be
    /// swapped; another filter means another index.
    fn log_filter(&self) -> impl Future<Output = Result<LogFilter, String>> + Send;

    /// What logs say that the filter matched.
    fn decode(&self, request: DecodeRequest) -> impl Future<Output = Result<DecodeResponse, String>> + Send;
}

impl LogDecoder for SubmitterClient {
    async fn log_filter(&self) -> Result<LogFilter, String> {
        SubmitterClient::log_filter(self)
            .await
            .map_err(|error| error.to_string())
    }

    async fn decode(&self, request: DecodeRequest) -> Result<DecodeResponse, String> {
        SubmitterClient::decode(self, &request)
            .await
            .map_err(|error| error.to_string())
    }
}
