//! Plugins as the rest of the program calls them: typed, and with answers that fit the questions.

use std::sync::Arc;

use set_plugin_abi::method;
use set_types::{
    BatchId, CandidateCall, DecodeRequest, DecodeResponse, HeadsRequest, HeadsResponse, InclusionProof,
    InclusionProofRequest, LogFilter, LookupRequest, LookupResponse, PlanRequest, PlanResponse, PollRequest,
    PollResponse, PollStreamRequest, ReportRequest, ReportResponse, SettleRequest, SettleResponse,
};

use crate::{
    allow::{self, NotAllowed},
    error::{CallError, CallErrorKind},
    slot::Slot,
};

/// The source plugin. Cheap to clone; follows the plugin through its instances.
///
/// Dropping the future of a call cancels it.
#[derive(Clone)]
pub struct SourceClient(Arc<Slot>);

/// The submitter plugin. Cheap to clone; follows the plugin through its instances.
///
/// Dropping the future of a call cancels it.
#[derive(Clone)]
pub struct SubmitterClient(Arc<Slot>);

/// An error for an answer that does not fit its question.
pub(crate) fn misfit(slot: &Slot, method: &'static str, reason: String) -> CallError {
    CallError {
        plugin: slot.config.id.clone(),
        method,
        kind: CallErrorKind::Protocol(reason),
    }
}

/// Checks that there is one answer for each item, about that item and in the same order.
fn check_order(
    slot: &Slot,
    method: &'static str,
    asked: impl ExactSizeIterator<Item = BatchId>,
    answered: impl ExactSizeIterator<Item = BatchId>,
) -> Result<(), CallError> {
    if asked.len() != answered.len() {
        return Err(misfit(
            slot,
            method,
            format!("it answered {} items for {}", answered.len(), asked.len()),
        ));
    }
    match asked.zip(answered).find(|(asked, answered)| asked != answered) {
        Some((asked, answered)) => Err(misfit(
            slot,
            method,
            format!("it answered about {answered} in place of {asked}"),
        )),
        None => Ok(()),
    }
}

impl SourceClient {
    pub(crate) const fn new(slot: Arc<Slot>) -> Self {
        Self(slot)
    }

    /// Lists unreported commitments, oldest first.
    ///
    /// # Errors
    /// See [`CallErrorKind`].
    pub async fn poll(&self, request: &PollRequest) -> Result<PollResponse, CallError> {
        self.0.call(method::POLL, request).await
    }

    /// Lists one stream's unreported commitments, in order. Those of other streams are refused.
    ///
    /// # Errors
    /// See [`CallErrorKind`].
    pub async fn poll_stream(&self, request: &PollStreamRequest) -> Result<PollResponse, CallError> {
        let response: PollResponse = self.0.call(method::POLL_STREAM, request).await?;
        let foreign = response
            .commitments
            .iter()
            .find(|commitment| commitment.stream() != request.stream);
        if let Some(foreign) = foreign {
            let reason = format!("it listed {}, which is of another stream", foreign.batch_id);
            return Err(misfit(&self.0, method::POLL_STREAM, reason));
        }
        Ok(response)
    }

    /// Reports anchored commitments; one outcome for each receipt, in the same order.
    ///
    /// # Errors
    /// See [`CallErrorKind`].
    pub async fn report(&self, request: &ReportRequest) -> Result<ReportResponse, CallError> {
        let response: ReportResponse = self.0.call(method::REPORT, request).await?;
        let asked = request.receipts.iter().map(|receipt| receipt.batch_id);
        check_order(
            &self.0,
            method::REPORT,
            asked,
            response.outcomes.iter().map(|outcome| outcome.batch_id),
        )?;
        Ok(response)
    }

    /// Proves that an event is in a batch. The proof is about what was asked; whether it holds is for the
    /// caller to verify.
    ///
    /// # Errors
    /// See [`CallErrorKind`].
    pub async fn inclusion_proof(&self, request: &InclusionProofRequest) -> Result<InclusionProof, CallError> {
        let proof: InclusionProof = self.0.call(method::INCLUSION_PROOF, request).await?;
        if (proof.batch_id, proof.sequence) != (request.batch_id, request.sequence) {
            let reason = format!("it proved {} at {} instead", proof.batch_id, proof.sequence);
            return Err(misfit(&self.0, method::INCLUSION_PROOF, reason));
        }
        Ok(proof)
    }
}

impl SubmitterClient {
    pub(crate) const fn new(slot: Arc<Slot>) -> Self {
        Self(slot)
    }

    /// The plugin's id.
    pub fn id(&self) -> &str {
        &self.0.config.id
    }

    /// Whether the operator allows a call: contract, function and value.
    ///
    /// # Errors
    /// What about it is not allowed.
    pub fn allows(&self, call: &CandidateCall) -> Result<(), NotAllowed> {
        allow::check(self.id(), &self.0.config.allow.calls, call)
    }

    /// Plans calls. Each is allowed, within the limits, and settles commitments of the request, no
    /// commitment twice.
    ///
    /// # Errors
    /// See [`CallErrorKind`]; a call that is not allowed fails the plan.
    pub async fn plan(&self, request: &PlanRequest) -> Result<PlanResponse, CallError> {
        let response: PlanResponse = self.0.call(method::PLAN, request).await?;
        for call in &response.calls {
            let refused = |refused| self.plan_error(CallErrorKind::NotAllowed(Box::new(refused)));
            self.allows(call).map_err(refused)?;
        }
        self.check_plan(request, &response)
            .map_err(|reason| self.plan_error(CallErrorKind::Protocol(reason)))?;
        Ok(response)
    }

    fn plan_error(&self, kind: CallErrorKind) -> CallError {
        CallError {
            plugin: self.id().to_owned(),
            method: method::PLAN,
            kind,
        }
    }

    fn check_plan(&self, request: &PlanRequest, response: &PlanResponse) -> Result<(), String> {
        let most = request.limits.calls as usize;
        if response.calls.len() > most {
            return Err(format!("it planned {} calls ({most} at most)", response.calls.len()));
        }
        let mut open: std::collections::HashSet<_> = request
            .commitments
            .iter()
            .map(|commitment| commitment.batch_id)
            .collect();
        for call in &response.calls {
            if call.gas_limit > request.limits.gas {
                return Err(format!(
                    "it planned {} gas in one call ({} at most)",
                    call.gas_limit, request.limits.gas
                ));
            }
            if call.batches.is_empty() {
                return Err("it planned a call that settles nothing".to_owned());
            }
        }
        let settled = response.calls.iter().flat_map(|call| &call.batches);
        for batch in settled.chain(response.excluded.iter().map(|excluded| &excluded.batch_id)) {
            if !open.remove(batch) {
                return Err(format!(
                    "it planned {batch}, which was not asked for or is planned twice"
                ));
            }
        }
        Ok(())
    }

    /// Says what a mined transaction did; one settlement for each batch of the call, in the same order.
    ///
    /// # Errors
    /// See [`CallErrorKind`].
    pub async fn settle(&self, request: &SettleRequest) -> Result<SettleResponse, CallError> {
        let response: SettleResponse = self.0.call(method::SETTLE, request).await?;
        let answered = response.settlements.iter().map(|settlement| settlement.batch_id);
        check_order(&self.0, method::SETTLE, request.call.batches.iter().copied(), answered)?;
        Ok(response)
    }

    /// Reads where streams stand on chain; one head for each, in the same order.
    ///
    /// # Errors
    /// See [`CallErrorKind`].
    pub async fn heads(&self, request: &HeadsRequest) -> Result<HeadsResponse, CallError> {
        let response: HeadsResponse = self.0.call(method::HEADS, request).await?;
        if !response.heads.iter().map(|head| &head.stream).eq(&request.streams) {
            let reason = format!(
                "its {} heads are not those of the {} streams",
                response.heads.len(),
                request.streams.len()
            );
            return Err(misfit(&self.0, method::HEADS, reason));
        }
        Ok(response)
    }

    /// Reads what the chain holds under batch ids; one entry for each, in the same order.
    ///
    /// # Errors
    /// See [`CallErrorKind`].
    pub async fn lookup(&self, request: &LookupRequest) -> Result<LookupResponse, CallError> {
        let response: LookupResponse = self.0.call(method::LOOKUP, request).await?;
        // Where nothing is recorded there is no id to compare.
        let answered: Vec<_> = std::iter::zip(&request.batches, &response.records)
            .map(|(asked, record)| record.map_or(*asked, |record| record.batch_id))
            .collect();
        if response.records.len() != request.batches.len() {
            let reason = format!(
                "it answered {} items for {}",
                response.records.len(),
                request.batches.len()
            );
            return Err(misfit(&self.0, method::LOOKUP, reason));
        }
        check_order(
            &self.0,
            method::LOOKUP,
            request.batches.iter().copied(),
            answered.into_iter(),
        )?;
        Ok(response)
    }

    /// Which logs tell that commitments were made.
    ///
    /// # Errors
    /// See [`CallErrorKind`].
    pub async fn log_filter(&self) -> Result<LogFilter, CallError> {
        self.0.call(method::LOG_FILTER, &()).await
    }

    /// Reads logs; what it says refers to logs of the request.
    ///
    /// # Errors
    /// See [`CallErrorKind`].
    pub async fn decode(&self, request: &DecodeRequest) -> Result<DecodeResponse, CallError> {
        let response: DecodeResponse = self.0.call(method::DECODE, request).await?;
        let positions = response
            .committed
            .iter()
            .map(|log| log.log)
            .chain(response.opened.iter().map(|log| log.log));
        if let Some(position) = positions.into_iter().find(|position| *position >= request.logs.len()) {
            let reason = format!("it read log {position} of {}", request.logs.len());
            return Err(misfit(&self.0, method::DECODE, reason));
        }
        Ok(response)
    }
}
