//! `set_version`, `set_status`, `set_listPlugins`.

use alloy_primitives::U64;
use serde_json::Value;

use crate::{
    answer::{
        BlockAnswer, ChainAnswer, IndexAnswer, MethodAnswer, ParamAnswer, PluginAnswer, StatusAnswer, VersionAnswer,
    },
    args::Args,
    error::RpcError,
    method::{METHODS, Method, Param},
    service::Service,
};

pub(crate) async fn version(service: &Service, _: Args) -> Result<VersionAnswer, RpcError> {
    Ok(VersionAnswer {
        name: "set-sidecar".to_owned(),
        version: service.parts.version.to_owned(),
        chain_id: U64::from(service.parts.chain_id),
        methods: METHODS.iter().map(describe).collect(),
    })
}

fn describe(method: &Method<Service>) -> MethodAnswer {
    let param = |param: &Param| ParamAnswer {
        name: param.name.to_owned(),
        required: param.required,
        form: param.form.to_owned(),
    };
    MethodAnswer {
        name: method.name.to_owned(),
        summary: method.summary.to_owned(),
        params: method.params.iter().map(param).collect(),
    }
}

pub(crate) async fn status(service: &Service, _: Args) -> Result<StatusAnswer, RpcError> {
    let view = service.view();
    // What is wrong with the index is part of the answer, and no reason to keep the rest back.
    let counts = service.parts.index.counts().await;
    let synced = service.parts.index.synced().borrow().clone();
    let parts = match service.parts.status.status() {
        Value::Object(parts) => parts,
        other => [("sidecar".to_owned(), other)].into_iter().collect(),
    };
    Ok(StatusAnswer {
        chain: ChainAnswer {
            chain_id: U64::from(service.parts.chain_id),
            reachable: view.reachable,
            error: view.error.clone(),
            endpoint: view.endpoint.clone(),
            endpoints: view.endpoints.iter().map(Into::into).collect(),
            latest: view.latest.map(|head| head.block.into()),
            safe: view.safe.map(BlockAnswer::from),
            finalized: view.finalized.map(BlockAnswer::from),
            op_node: view.op_node.as_ref().map(Into::into),
        },
        index: IndexAnswer {
            block: synced.block.map(BlockAnswer::from),
            lag: synced.lag(),
            commitments: counts.as_ref().ok().map(|counts| counts.commitments),
            streams: counts.as_ref().ok().map(|counts| counts.streams),
            storage: service.parts.index.opening().to_string(),
            error: synced.error.or_else(|| counts.err().map(|error| error.to_string())),
        },
        parts,
    })
}

pub(crate) async fn list_plugins(service: &Service, _: Args) -> Result<Vec<PluginAnswer>, RpcError> {
    Ok(service.parts.plugins.list())
}
