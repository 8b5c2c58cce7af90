//! The table of stretches: they never overlap, and what grows is one.

use redb::{AccessGuard, ReadableTable};
use set_index::{ChainPosition, StoreError};

use super::rows::{STRETCH_LEN, Stretch, key};

pub(super) type Stretches<'a> = redb::Table<'a, (u64, u64), &'static [u8; STRETCH_LEN]>;

/// All of them, in the chain's order.
pub(super) fn all(stretches: &Stretches<'_>) -> Result<Vec<Stretch>, StoreError> {
    stretches.iter()?.map(|row| decode(row?)).collect()
}

/// The one that ends at a place, if one does.
pub(super) fn ending_at(stretches: &Stretches<'_>, place: ChainPosition) -> Result<Option<Stretch>, StoreError> {
    let mut before = stretches.range::<(u64, u64)>(..key(place))?;
    let last = before.next_back().transpose()?.map(decode).transpose()?;
    Ok(last.filter(|stretch| stretch.to == place))
}

/// Writes one that overlaps none, or is there already.
pub(super) fn put(stretches: &mut Stretches<'_>, stretch: &Stretch) -> Result<(), StoreError> {
    stretches.insert(key(stretch.after), &stretch.encode())?;
    Ok(())
}

/// Puts a stretch in its place. What others say of the same part of the chain gives way; says whether something did.
pub(super) fn place(stretches: &mut Stretches<'_>, mut stretch: Stretch) -> Result<bool, StoreError> {
    let others = overlapping(stretches, &stretch)?;
    for other in &others {
        stretches.remove(key(other.after))?;
        if other.after < stretch.after {
            let head = Stretch {
                to: stretch.after,
                ..*other
            };
            put(stretches, &head)?;
        }
        if other.to > stretch.to {
            let tail = Stretch {
                after: stretch.to,
                ..*other
            };
            put(stretches, &tail)?;
        }
    }
    if let Some(before) = ending_at(stretches, stretch.after)?
        && before.at == stretch.at
    {
        stretch.after = before.after;
    }
    put(stretches, &stretch)?;
    Ok(!others.is_empty())
}

fn overlapping(stretches: &Stretches<'_>, stretch: &Stretch) -> Result<Vec<Stretch>, StoreError> {
    let mut overlapping = vec![];
    for row in stretches.range::<(u64, u64)>(..key(stretch.to))?.rev() {
        let other = decode(row?)?;
        if other.to <= stretch.after {
            break;
        }
        overlapping.push(other);
    }
    Ok(overlapping)
}

type Row<'a> = (AccessGuard<'a, (u64, u64)>, AccessGuard<'a, &'static [u8; STRETCH_LEN]>);

fn decode((start, value): Row<'_>) -> Result<Stretch, StoreError> {
    Stretch::decode(start.value(), value.value())
}
