//! Sends `tracing` to the host.

use std::fmt::{self, Write as _};

use serde_json::{Map, Value};
use set_plugin_abi::status;
use tracing::{
    Dispatch, Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
    span,
    subscriber::Interest,
};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt as _},
    registry::LookupSpan,
};

use crate::Host;

/// A dispatcher whose events go to `host`.
pub(crate) fn dispatch(host: Host) -> Dispatch {
    Dispatch::new(tracing_subscriber::registry().with(Forward { host }))
}

struct Forward {
    host: Host,
}

const fn number(level: &Level) -> u32 {
    match *level {
        Level::ERROR => status::LOG_ERROR,
        Level::WARN => status::LOG_WARN,
        Level::INFO => status::LOG_INFO,
        Level::DEBUG => status::LOG_DEBUG,
        Level::TRACE => status::LOG_TRACE,
    }
}

/// What a span or an event says.
#[derive(Default)]
struct Fields {
    message: String,
    rest: Map<String, Value>,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Forward {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        // The host's level can change while the plugin runs, so nothing is decided once and for all.
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        number(metadata.level()) <= self.host.log_level()
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        None
    }

    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &span::Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        // Outer spans first, so that the inner ones and the event itself prevail.
        for span in context
            .event_scope(event)
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .iter()
            .rev()
        {
            if let Some(outer) = span.extensions().get::<Fields>() {
                fields.rest.extend(outer.rest.clone());
            }
        }
        event.record(&mut fields);
        let rest = if fields.rest.is_empty() {
            vec![]
        } else {
            Value::Object(fields.rest).to_string().into_bytes()
        };
        let metadata = event.metadata();
        self.host
            .log(number(metadata.level()), metadata.target(), &fields.message, &rest);
    }
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        self.rest.insert(field.name().to_owned(), value);
    }
}

impl Visit for Fields {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
        } else {
            self.put(field, value.into());
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.message.clear();
            // Writing to a String cannot fail; a value whose Debug fails is cut short.
            let _ = write!(self.message, "{value:?}");
        } else {
            self.put(field, format!("{value:?}").into());
        }
    }
}
