//! The chain of policies: the first that does not allow decides.

use std::sync::Arc;

use set_plugin_abi::method;
use set_types::{EvaluateRequest, EvaluateResponse, Verdict};

use crate::{client::misfit, error::CallError, slot::Slot};

/// All policy plugins, in the order of the configuration. Cheap to clone.
#[derive(Clone)]
pub struct PolicyChain(Arc<[Arc<Slot>]>);

/// What the chain decided about one subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// The policy that decided; `None` where all allow.
    pub policy: Option<String>,
}

impl PolicyChain {
    pub(crate) fn new(slots: Vec<Arc<Slot>>) -> Self {
        Self(slots.into())
    }

    /// Judges subjects: one judgement for each, in the same order. Each policy is asked once, about what
    /// the ones before it allow. A policy that cannot answer holds what it was asked about: silence is
    /// no permission.
    pub async fn evaluate(&self, request: &EvaluateRequest) -> Vec<Judgement> {
        let mut judgements = vec![
            Judgement {
                verdict: Verdict::Allow,
                policy: None
            };
            request.subjects.len()
        ];
        for slot in self.0.iter() {
            let open: Vec<_> = (0..judgements.len())
                .filter(|position| judgements[*position].verdict.is_allow())
                .collect();
            if open.is_empty() {
                break;
            }
            let subjects = open
                .iter()
                .map(|position| request.subjects[*position].clone())
                .collect();
            let verdicts = ask(
                slot,
                &EvaluateRequest {
                    subjects,
                    context: request.context.clone(),
                },
            )
            .await;
            let verdicts = verdicts.unwrap_or_else(|error| {
                let reason = format!("no verdict, so it waits: {error}");
                vec![Verdict::Hold { until: None, reason }; open.len()]
            });
            for (position, verdict) in open.into_iter().zip(verdicts) {
                if !verdict.is_allow() {
                    judgements[position] = Judgement {
                        verdict,
                        policy: Some(slot.config.id.clone()),
                    };
                }
            }
        }
        judgements
    }
}

async fn ask(slot: &Arc<Slot>, request: &EvaluateRequest) -> Result<Vec<Verdict>, CallError> {
    let EvaluateResponse { verdicts } = slot.call(method::EVALUATE, request).await?;
    if verdicts.len() != request.subjects.len() {
        let reason = format!(
            "it gave {} verdicts for {} subjects",
            verdicts.len(),
            request.subjects.len()
        );
        return Err(misfit(slot, method::EVALUATE, reason));
    }
    Ok(verdicts)
}
