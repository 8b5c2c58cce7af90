//! The local index of what the chain holds, and the small durable store beside it.
