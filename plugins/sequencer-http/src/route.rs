//! The routes of the API.

use std::fmt;

/// A route, for messages and for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// Commitments of all streams that nobody has reported.
    Pending,
    /// Reports one commitment.
    Anchored,
    /// One stream's commitments that nobody has reported.
    StreamCommitments,
    /// One commitment, reported or not.
    Commitment,
    /// An inclusion proof.
    Proof,
}

impl Route {
    /// Its part in the names of metrics.
    pub(crate) const fn metric(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Anchored => "anchored",
            Self::StreamCommitments => "stream_commitments",
            Self::Commitment => "commitment",
            Self::Proof => "proof",
        }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pending => "GET /v1/commitments/pending",
            Self::Anchored => "POST /v1/commitments/{batch_id}/anchored",
            Self::StreamCommitments => "GET /api/v1/ves/commitments",
            Self::Commitment => "GET /api/v1/ves/commitments/{batch_id}",
            Self::Proof => "GET /api/v1/ves/proofs/{sequence}",
        })
    }
}
