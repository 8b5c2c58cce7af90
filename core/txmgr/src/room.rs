//! Room for calls on their way to a block: so many at once, and the number may change at any time.

use std::sync::Arc;

use tokio::sync::watch;

/// Who has room, and how much there is.
#[derive(Debug, Clone, Copy)]
struct Taken {
    places: usize,
    taken: usize,
    closed: bool,
}

/// A number of places, each for one call. Cheap to clone; clones share the places.
#[derive(Debug, Clone)]
pub(crate) struct Room(Arc<watch::Sender<Taken>>);

/// A place that is taken. Dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Place(Room);

impl Room {
    pub(crate) fn new(places: usize) -> Self {
        Self(Arc::new(watch::Sender::new(Taken {
            places,
            taken: 0,
            closed: false,
        })))
    }

    /// Changes the number of places. What is taken stays taken, even where that is more.
    pub(crate) fn resize(&self, places: usize) {
        self.0.send_modify(|taken| taken.places = places);
    }

    /// Gives out no more places.
    pub(crate) fn close(&self) {
        self.0.send_modify(|taken| taken.closed = true);
    }

    /// Places that are free.
    pub(crate) fn free(&self) -> usize {
        let taken = *self.0.borrow();
        taken.places.saturating_sub(taken.taken)
    }

    /// Waits for a place; `None` once the room is closed.
    ///
    /// # Cancellation safety
    /// Dropped before it is ready, no place is taken.
    pub(crate) async fn take(&self) -> Option<Place> {
        let mut changes = self.0.subscribe();
        loop {
            let mut closed = false;
            let took = self.0.send_if_modified(|taken| {
                closed = taken.closed;
                let free = !closed && taken.taken < taken.places;
                taken.taken += usize::from(free);
                free
            });
            if took {
                return Some(Place(self.clone()));
            }
            if closed || changes.changed().await.is_err() {
                return None;
            }
        }
    }

    /// Waits until every place is free.
    pub(crate) async fn emptied(&self) {
        // The sender lives as long as this room.
        let _ = self.0.subscribe().wait_for(|taken| taken.taken == 0).await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.0.send_modify(|taken| taken.taken -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_room_that_shrinks_waits_until_enough_is_given_back() {
        let room = Room::new(3);
        let mut places = Vec::new();
        for _ in 0..3 {
            places.push(room.take().await.unwrap());
        }
        room.resize(1);
        assert_eq!(room.free(), 0);
        places.truncate(1);
        assert_eq!(room.free(), 0);
        let waiting = tokio::spawn({
            let room = room.clone();
            async move { room.take().await.map(drop) }
        });
        places.clear();
        assert_eq!(waiting.await.unwrap(), Some(()));
        room.emptied().await;
        room.close();
        assert!(room.take().await.is_none());
    }
}
