use std::fs::OpenOptions;

use super::*;
use crate::store::Store;

const LAYOUT: Layout = Layout {
    name: "index",
    holds: "rows",
    version: 2,
    cache_bytes: 1 << 20,
    rebuildable: true,
};
const DURABLE: Layout = Layout {
    name: "durable store",
    rebuildable: false,
    ..LAYOUT
};
const ROWS: TableDefinition<'_, &str, &str> = TableDefinition::new("rows");

fn put(database: &Database) -> Result<(), StoreError> {
    transact(database, |transaction| {
        transaction.open_table(ROWS)?.insert("row", "kept")?;
        Ok(())
    })
}

async fn has_row(store: &Store) -> bool {
    let read = store.read(|transaction| match transaction.open_table(ROWS) {
        Ok(rows) => Ok(rows.get("row")?.is_some()),
        Err(_) => Ok(false),
    });
    read.await.unwrap()
}

fn written(directory: &tempfile::TempDir, layout: Layout) -> PathBuf {
    let path = directory.path().join("store.redb");
    put(&open(&path, layout).unwrap().0).unwrap();
    path
}

#[tokio::test]
async fn a_sound_file_is_opened_again() {
    for layout in [LAYOUT, DURABLE] {
        let directory = tempfile::tempdir().unwrap();
        let path = written(&directory, layout);
        let store = Store::open(Some(&path), layout).unwrap();
        assert_eq!(store.opening(), Opening::Existing);
        assert!(has_row(&store).await);
        let error = Store::open(Some(&path), layout).unwrap_err();
        assert!(matches!(error, StoreError::InUse(_)), "{error}");
    }
}

#[tokio::test]
async fn an_older_rebuildable_file_makes_way() {
    let directory = tempfile::tempdir().unwrap();
    let path = written(&directory, Layout { version: 1, ..LAYOUT });
    let store = Store::open(Some(&path), LAYOUT).unwrap();
    assert!(
        matches!(store.opening(), Opening::Replaced { kept_at: None, .. }),
        "{:?}",
        store.opening()
    );
    assert!(!has_row(&store).await);
}

#[tokio::test]
async fn a_newer_file_is_refused_and_left_alone() {
    for layout in [LAYOUT, DURABLE] {
        let directory = tempfile::tempdir().unwrap();
        let newer = Layout { version: 3, ..layout };
        let path = written(&directory, newer);
        let error = Store::open(Some(&path), layout).unwrap_err().to_string();
        assert!(
            error.contains("store.redb") && error.contains("schema 3; this program knows up to 2"),
            "{error}"
        );
        assert!(has_row(&Store::open(Some(&path), newer).unwrap()).await);
    }
}

/// Ways to spoil a file that leave nothing of use.
const SPOILS: [fn(&Path); 3] = [
    |path| fs::write(path, "not a database, but text of some length".repeat(100)).unwrap(),
    |path| {
        let file = OpenOptions::new().write(true).open(path).unwrap();
        file.set_len(5000).unwrap();
    },
    |path| {
        let mut bytes = fs::read(path).unwrap();
        bytes[..512].fill(0xa5);
        fs::write(path, bytes).unwrap();
    },
];

#[tokio::test]
async fn a_damaged_index_is_moved_aside_and_said() {
    for (number, spoil) in SPOILS.into_iter().enumerate() {
        let directory = tempfile::tempdir().unwrap();
        let path = written(&directory, LAYOUT);
        spoil(&path);
        let spoilt = fs::read(&path).unwrap();
        let store = Store::open(Some(&path), LAYOUT).unwrap();
        let Opening::Replaced {
            kept_at: Some(kept_at),
            reason,
        } = store.opening()
        else {
            panic!("case {number}: {:?}", store.opening());
        };
        assert!(!reason.is_empty());
        assert_eq!(fs::read(kept_at).unwrap().len(), spoilt.len(), "case {number}");
        assert!(!has_row(&store).await);
    }
}

#[test]
fn a_damaged_durable_store_is_refused_left_alone_and_copied_once() {
    for (number, spoil) in SPOILS.into_iter().enumerate() {
        let directory = tempfile::tempdir().unwrap();
        let path = written(&directory, DURABLE);
        spoil(&path);
        let spoilt = fs::read(&path).unwrap();
        for _ in 0..2 {
            let error = Store::open(Some(&path), DURABLE).unwrap_err();
            let text = error.to_string();
            assert!(
                text.contains("It holds rows") && text.contains("restore it from a backup, or move it away"),
                "{text}"
            );
            assert!(!text.contains("rebuilt"), "{text}");
            let StoreError::Unrecoverable { copy: Some(copy), .. } = error else {
                panic!("case {number}: {error:?}");
            };
            assert!(text.contains(&copy.display().to_string()), "{text}");
            assert!(fs::read(copy).unwrap() == spoilt, "case {number}");
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2, "one copy");
    }
}

#[test]
fn a_flipped_byte_in_what_cannot_be_rebuilt_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let path = written(&directory, DURABLE);
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(4).position(|window| window == b"kept").unwrap();
    bytes[at] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let error = Store::open(Some(&path), DURABLE).unwrap_err();
    assert!(matches!(error, StoreError::Unrecoverable { .. }), "{error}");
    assert!(fs::read(&path).unwrap() == bytes, "the file is left as it is");
}

#[tokio::test]
async fn damage_found_in_use_is_told_with_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let path = written(&directory, DURABLE);
    let store = Store::open(Some(&path), DURABLE).unwrap();
    let damaged = |_: &redb::ReadTransaction| -> Result<(), StoreError> { Err(StoreError::Damaged("no row".into())) };
    let text = store.read(damaged).await.unwrap_err().to_string();
    for words in [
        "store.redb is damaged: no row",
        "It holds rows",
        "restore it from a backup",
    ] {
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn a_directory_that_is_not_there_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("absent/index.redb");
    let error = Store::open(Some(&path), LAYOUT).unwrap_err().to_string();
    assert!(
        error.contains("absent/index.redb") && error.contains("data directory"),
        "{error}"
    );
}

#[tokio::test]
async fn a_store_is_replaced_while_in_use() {
    let directory = tempfile::tempdir().unwrap();
    let path = written(&directory, LAYOUT);
    let store = Store::open(Some(&path), LAYOUT).unwrap();
    let clone = store.clone();
    assert_eq!(store.damage(), None);
    let error = store
        .read::<()>(|_| panic!("as redb does on damage"))
        .await
        .unwrap_err();
    assert!(error.is_damage(), "{error}");
    let damage = clone.damage().unwrap();
    store.replace(damage).await.unwrap();
    assert!(!has_row(&clone).await, "every clone sees the new store");
    assert!(matches!(clone.opening(), Opening::Replaced { kept_at: Some(_), .. }));
    assert_eq!(clone.damage(), None);
}
