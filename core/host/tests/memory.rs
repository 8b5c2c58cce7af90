//! What a loaded library leaves behind: no memory of the wrong allocator, no threads.
#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]
#![allow(unsafe_code, reason = "an allocator of its own is what this program is about")]

mod support;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    time::Duration,
};

use serde_json::json;
use set_types::PollRequest;
use support::{PluginDir, plugin, start};

/// Puts a mark before every allocation, and aborts where memory without it is freed: what the library
/// allocated with its own allocator.
struct Marking;

const MARK: u64 = 0x5e7_a110c;

fn offset(layout: Layout) -> (Layout, usize) {
    let (whole, offset) = Layout::new::<u64>().extend(layout).unwrap_or((layout, 0));
    (whole, offset.max(size_of::<u64>()))
}

// SAFETY: every allocation is the system's, larger by an aligned offset that `dealloc` takes off again.
unsafe impl GlobalAlloc for Marking {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let (whole, offset) = offset(layout);
        // SAFETY: the size is not 0, for it includes the mark.
        let start = unsafe { System.alloc(whole) };
        if start.is_null() {
            return start;
        }
        // SAFETY: the offset leaves room for the mark before the memory that is handed out.
        unsafe {
            let memory = start.add(offset);
            memory.cast::<u64>().sub(1).write_unaligned(MARK);
            memory
        }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        let (whole, offset) = offset(layout);
        // SAFETY: ours has a mark before it; foreign memory has the bookkeeping of its allocator there.
        unsafe {
            let mark = memory.cast::<u64>().sub(1);
            if mark.read_unaligned() != MARK {
                std::process::abort();
            }
            mark.write_unaligned(0);
            System.dealloc(memory.sub(offset), whole);
        }
    }
}

#[global_allocator]
static ALLOCATOR: Marking = Marking;

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

#[tokio::test]
async fn starts_leave_no_thread_and_mix_no_memory() {
    let dir = PluginDir::new();
    dir.fixture("libfixture.so");
    let entry = json!({ "id": "fixture", "kind": "source", "path": "libfixture.so", "required": true });
    let mut config = dir.config(vec![plugin(entry)]);
    config.data_dir = Some(dir.path().join("data"));
    // The first start also starts the threads that this runtime keeps.
    start(config.clone())
        .await
        .unwrap()
        .shutdown(Duration::from_secs(20))
        .await;
    let before = threads();
    for _ in 0..20 {
        let host = start(config.clone()).await.unwrap();
        host.source().unwrap().poll(&PollRequest { limit: 1 }).await.unwrap();
        host.shutdown(Duration::from_secs(20)).await;
    }
    // A thread is listed for a moment after it has said that it ends.
    let gone = async {
        while threads() > before {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), gone)
        .await
        .expect("as many threads as before");
}
