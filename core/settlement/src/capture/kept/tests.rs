use std::fs;

use proptest::prelude::*;

use super::*;

const PART: usize = 100;

const fn place(block: u64, log_index: u64) -> ChainPosition {
    ChainPosition { block, log_index }
}

const fn block(number: u64) -> BlockNumHash {
    BlockNumHash {
        number,
        hash: B256::repeat_byte(number as u8),
    }
}

fn take(at: u64, after: u64, to: u64, parts: &[u8]) -> Take {
    let mut map = PartMap::default();
    for part in parts {
        map.add(vec![*part; PART].into());
    }
    Take {
        block: block(at),
        output_root: B256::repeat_byte(0xee),
        after: place(after, 0),
        to: place(to, 0),
        commitments: to - after,
        parts: map,
    }
}

async fn holds(kept: &Kept, part: u8) -> bool {
    let hash = keccak256([part; PART]);
    let found = kept
        .with_parts(move |parts| Ok(parts.part(hash)?))
        .await
        .unwrap()
        .unwrap();
    found.is_some_and(|found| found == vec![part; PART])
}

fn cost(parts: u64) -> u64 {
    parts * (PART as u64 + PART_COST)
}

#[derive(Debug, Clone)]
struct Taken {
    at: u64,
    after: u64,
    length: u64,
}

fn takes() -> impl Strategy<Value = Vec<Taken>> {
    let taken = (1u64..6, 0u64..20, 1u64..8).prop_map(|(at, after, length)| Taken { at, after, length });
    prop::collection::vec(taken, 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_place_is_where_it_was_taken_last(takes in takes()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let kept = Kept::open(None, B256::ZERO).await.unwrap();
            let mut model = BTreeMap::new();
            for Taken { at, after, length } in takes {
                kept.take(take(at, after, after + length, &[])).await.unwrap();
                model.extend((after + 1..=after + length).map(|place| (place, at)));
                for number in 0..30 {
                    let found = kept.whereabouts(place(number, 0)).await.unwrap();
                    let expected = model.get(&number).map_or(Whereabouts::Nowhere, |at| Whereabouts::Kept {
                        block: block(*at),
                        output_root: B256::repeat_byte(0xee),
                    });
                    prop_assert_eq!(found, expected, "place {}", number);
                }
                let inventory = kept.inventory().await.unwrap();
                let apart = inventory.stretches.windows(2).all(|pair| pair[0].to <= pair[1].after);
                prop_assert!(apart, "{:?}", inventory.stretches);
                let used: Vec<_> = inventory.blocks.keys().copied().collect();
                let mut expected: Vec<_> = model.values().copied().collect();
                expected.sort_unstable();
                expected.dedup();
                prop_assert_eq!(used, expected);
            }
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn what_grows_is_one_stretch_and_what_is_shared_is_there_once() {
    let kept = Kept::open(None, B256::ZERO).await.unwrap();
    kept.take(take(9, 0, 3, &[1, 2])).await.unwrap();
    kept.take(take(9, 3, 7, &[2, 3])).await.unwrap();
    let inventory = kept.inventory().await.unwrap();
    assert_eq!(inventory.stretches.len(), 1);
    assert_eq!(inventory.blocks[&9].commitments, 7);
    assert_eq!(inventory.bytes, cost(3));
}

#[tokio::test]
async fn where_there_is_nothing_to_prove_nothing_is_written_for_a_game() {
    let kept = Kept::open(None, B256::ZERO).await.unwrap();
    kept.take(take(3, 0, 3, &[1])).await.unwrap();
    for number in 4..50 {
        let nothing = Take {
            commitments: 0,
            ..take(number, number - 1, number, &[])
        };
        kept.take(nothing).await.unwrap();
    }
    let inventory = kept.inventory().await.unwrap();
    assert_eq!((inventory.stretches.len(), inventory.blocks.len()), (1, 1));
    assert_eq!(inventory.stretches[0].to, place(49, 0));
}

#[tokio::test]
async fn the_oldest_gives_way_and_what_later_blocks_use_stays() {
    let kept = Kept::open(None, B256::ZERO).await.unwrap();
    kept.take(take(1, 0, 10, &[1, 2, 3])).await.unwrap();
    kept.take(take(2, 10, 20, &[3, 4])).await.unwrap();
    kept.take(take(3, 20, 30, &[4, 5])).await.unwrap();
    assert!(kept.make_room(cost(5), 3).await.unwrap());
    assert!(holds(&kept, 1).await, "there was room");
    assert!(kept.make_room(cost(4), 3).await.unwrap());
    for (part, there) in [(1, false), (2, false), (3, true), (4, true), (5, true)] {
        assert_eq!(holds(&kept, part).await, there, "{part}");
    }
    assert_eq!(kept.whereabouts(place(5, 0)).await.unwrap(), Whereabouts::ThrownAway);
    assert!(matches!(
        kept.whereabouts(place(15, 0)).await.unwrap(),
        Whereabouts::Kept { .. }
    ));
    assert_eq!(kept.inventory().await.unwrap().bytes, cost(3));
    assert!(
        !kept.make_room(1, 3).await.unwrap(),
        "the spared block stays, and is too large"
    );
    assert!(holds(&kept, 5).await && !holds(&kept, 3).await);
}

#[tokio::test]
async fn what_was_taken_is_there_after_a_restart_and_only_for_its_registry() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("proofs.redb");
    let (mine, other) = (B256::repeat_byte(1), B256::repeat_byte(2));
    let kept = Kept::open(Some(&path), mine).await.unwrap();
    kept.take(take(4, 0, 3, &[1])).await.unwrap();
    drop(kept);
    let kept = Kept::open(Some(&path), mine).await.unwrap();
    assert_eq!(kept.opening(), Opening::Existing);
    assert!(holds(&kept, 1).await);
    drop(kept);
    let kept = Kept::open(Some(&path), other).await.unwrap();
    assert!(!holds(&kept, 1).await);
    assert_eq!(kept.inventory().await.unwrap(), Inventory::default());
}

#[tokio::test]
async fn a_changed_byte_is_damage_and_the_file_is_put_aside() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("proofs.redb");
    let kept = Kept::open(Some(&path), B256::ZERO).await.unwrap();
    kept.take(take(4, 0, 3, &[1])).await.unwrap();
    drop(kept);
    let mut content = fs::read(&path).unwrap();
    let part = [1; PART];
    let positions: Vec<_> = (0..content.len() - PART)
        .filter(|start| content[*start..*start + PART] == part)
        .collect();
    assert!(!positions.is_empty());
    for position in positions {
        content[position + PART / 2] ^= 4;
    }
    fs::write(&path, content).unwrap();

    let kept = Kept::open(Some(&path), B256::ZERO).await.unwrap();
    let hash = keccak256(part);
    let error = kept.with_parts(move |parts| Ok(parts.part(hash)?)).await.unwrap_err();
    assert!(error.is_damage(), "{error}");
    assert!(kept.mend().await.unwrap());
    assert!(!kept.mend().await.unwrap(), "once is enough");
    assert!(matches!(kept.opening(), Opening::Replaced { kept_at: Some(_), .. }));
    kept.take(take(5, 0, 3, &[1])).await.unwrap();
    assert!(holds(&kept, 1).await);
}
