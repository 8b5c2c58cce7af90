//! Synthetic commerce: what happens in a store, and the agent who signs it.

use alloy_primitives::B256;
use ed25519_dalek::{Signer, SigningKey};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use set_ves::{SignedEvent, payload_plain_hash};
use uuid::Uuid;

/// A store of a tenant, with one agent. Everything about it follows from the seed: the same seed gives
/// the same ids, keys and events.
#[derive(Debug, Clone)]
pub(super) struct Store {
    seed: [u8; 32],
    pub(super) tenant: Uuid,
    pub(super) store: Uuid,
    agent: Uuid,
    key: SigningKey,
}

impl Store {
    pub(super) fn new(rng: &mut StdRng) -> Self {
        Self {
            seed: rng.random(),
            tenant: uuid(rng),
            store: uuid(rng),
            agent: uuid(rng),
            key: SigningKey::from_bytes(&rng.random()),
        }
    }

    /// The agent's Ed25519 public key.
    pub(super) fn public_key(&self) -> B256 {
        B256::from(self.key.verifying_key().to_bytes())
    }

    /// The event with this sequence number, signed. The same arguments give the same event.
    pub(super) fn event(&self, sequence: u64, created_at: &str) -> SignedEvent {
        let mut seed = self.seed;
        for (byte, own) in seed.iter_mut().zip(sequence.to_be_bytes()) {
            *byte ^= own;
        }
        let mut rng = StdRng::from_seed(seed);
        let (entity_type, entity_id, event_type, payload) = happening(&mut rng, sequence);
        let mut event = SignedEvent {
            ves_version: 1,
            event_id: uuid(&mut rng),
            tenant_id: self.tenant,
            store_id: self.store,
            source_agent_id: self.agent,
            agent_key_id: 1,
            entity_type: entity_type.into(),
            entity_id,
            event_type: event_type.into(),
            created_at: created_at.into(),
            payload_kind: 0,
            // Its numbers are finite, so it has a canonical form.
            payload_plain_hash: payload_plain_hash(&payload).unwrap_or_default(),
            payload: Some(payload),
            payload_cipher_hash: B256::ZERO,
            agent_signature: [0; 64],
        };
        event.agent_signature = self.key.sign(event.signing_hash().as_slice()).to_bytes();
        event
    }
}

/// A random (version 4) UUID.
pub(super) fn uuid(rng: &mut StdRng) -> Uuid {
    uuid::Builder::from_random_bytes(rng.random()).into_uuid()
}

/// Entity type, entity id, event type, payload.
fn happening(rng: &mut StdRng, sequence: u64) -> (&'static str, String, &'static str, Value) {
    let order = format!("ORD-{sequence:06}");
    let sku = format!("SKU-{:04}", rng.random_range(0..2000));
    let cents: u32 = rng.random_range(99..250_000);
    match rng.random_range(0..10) {
        0..4 => {
            let lines: Vec<Value> = (0..rng.random_range(1..4))
                .map(|line| json!({ "sku": format!("{sku}-{line}"), "qty": rng.random_range(1..6) }))
                .collect();
            let payload = json!({
                "order_id": order,
                "amount_cents": cents,
                "tax_rate": f64::from(rng.random_range(0..2500)) / 10_000.0,
                "currency": (["USD", "EUR", "JPY"][rng.random_range(0..3)]),
                "lines": lines,
                "gift": rng.random_bool(0.1),
                "coupon": null,
                "note": "crème brûlée ☕",
            });
            ("order", order, "order.created", payload)
        }
        4..7 => {
            let payment = format!("PAY-{sequence:06}");
            let payload = json!({
                "payment_id": payment,
                "order_id": order,
                "amount_cents": cents,
                "method": (["card", "transfer", "usdc"][rng.random_range(0..3)]),
                "captured": true,
            });
            ("payment", payment, "payment.captured", payload)
        }
        7..9 => {
            let payload = json!({
                "sku": sku,
                "delta": rng.random_range(-20..200),
                "location": { "warehouse": "WH-2", "bin": format!("B{}", rng.random_range(1..40)) },
            });
            ("inventory_item", sku, "inventory.adjusted", payload)
        }
        _ => {
            let request = format!("RET-{sequence:06}");
            let payload = json!({
                "return_id": request,
                "order_id": order,
                "reason": "too small",
                "refund_cents": cents / 2,
                "restock": true,
            });
            ("return", request, "return.requested", payload)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_events_and_they_verify() {
        let store = |seed| Store::new(&mut StdRng::seed_from_u64(seed));
        let event = store(7).event(12, "2026-11-22T11:15:42.614Z");
        event.check_payload().unwrap();
        event.verify_signature(&store(7).public_key()).unwrap();
        assert_eq!(event, store(7).event(12, "2026-11-22T11:15:42.614Z"));
        assert_ne!(event.event_id, store(8).event(12, "").event_id);
        event.verify_signature(&store(8).public_key()).unwrap_err();
    }

    #[test]
    fn every_kind_of_event_happens() {
        let store = Store::new(&mut StdRng::seed_from_u64(1));
        let kinds: std::collections::BTreeSet<_> = (1..100).map(|s| store.event(s, "").entity_type).collect();
        assert_eq!(
            kinds.into_iter().collect::<Vec<_>>(),
            ["inventory_item", "order", "payment", "return"]
        );
    }
}
