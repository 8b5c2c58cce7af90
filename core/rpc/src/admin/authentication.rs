//! Nobody passes without a token.

use std::time::{SystemTime, UNIX_EPOCH};

use http::{Request, StatusCode, header::AUTHORIZATION};

use super::secret::AdminSecret;
use crate::door::Doorkeeper;

/// Turns away requests without a good token, with 401 and the reason.
impl Doorkeeper for AdminSecret {
    fn turn_away<B>(&self, request: &Request<B>) -> Option<(StatusCode, String)> {
        let header = request
            .headers()
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |now| now.as_secs());
        let error = self.check(header, now).err()?;
        tracing::warn!(%error, "a request to the admin listener was refused");
        Some((StatusCode::UNAUTHORIZED, error.to_string()))
    }
}
