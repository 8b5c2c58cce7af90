//! Policy plugin: commitments go between two hours of the day; outside of them they wait.

use set_plugin_sdk::prelude::*;

struct OpeningHours(Config);

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    /// First hour in which commitments go, UTC: 0 to 23.
    #[schemars(range(max = 23))]
    from: u8,
    /// First hour in which they go no more, UTC: 0 to 23. Below `from`, the night is meant.
    #[schemars(range(max = 23))]
    until: u8,
}

#[async_trait]
impl Plugin for OpeningHours {
    type Config = Config;

    async fn create(config: Config, _host: Host) -> Result<Self, PluginError> {
        if config.from == config.until {
            return Err(PluginError::permanent("`from` and `until` are the same hour: give two"));
        }
        Ok(Self(config))
    }
}

#[async_trait]
impl Policy for OpeningHours {
    async fn evaluate(&self, request: EvaluateRequest) -> Result<EvaluateResponse, PluginError> {
        let judge = |subject: &Subject| match subject {
            Subject::Commitment { .. } => self.judge(request.context.now),
            Subject::Sponsorship(_) => Verdict::Allow,
        };
        Ok(EvaluateResponse {
            verdicts: request.subjects.iter().map(judge).collect(),
        })
    }
}

impl OpeningHours {
    fn judge(&self, now: Timestamp) -> Verdict {
        let Config { from, until } = self.0;
        let since = |hour: u8| (now.as_second() - i64::from(hour) * 3600).rem_euclid(86_400);
        if since(from) < since(until) {
            return Verdict::Allow;
        }
        Verdict::Hold {
            until: Timestamp::from_second(now.as_second() + 86_400 - since(from)).ok(),
            reason: format!("commitments go from {from}:00 to {until}:00 UTC (`from`, `until`)"),
        }
    }
}

set_plugin_sdk::plugin!(OpeningHours as Policy, name = "opening-hours");
set_plugin_sdk::export_plugin!(PLUGIN);

#[cfg(test)]
mod tests;
