//! Memory that crosses the boundary.

use alloc::vec::Vec;
use core::{ffi::c_void, ptr, slice};

/// Borrowed bytes: valid until the function that received them returns.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct SetSlice {
    /// First byte; may be null where `len` is 0.
    pub ptr: *const u8,
    /// Length in bytes.
    pub len: usize,
}

impl SetSlice {
    /// No bytes.
    pub const EMPTY: Self = Self {
        ptr: ptr::null(),
        len: 0,
    };

    /// Lends `bytes` to the other side for the length of one call.
    pub const fn new(bytes: &[u8]) -> Self {
        Self {
            ptr: bytes.as_ptr(),
            len: bytes.len(),
        }
    }

    /// The bytes; `None` where the pointer is null although the length is not 0, or the length is
    /// more than memory can hold.
    ///
    /// # Safety
    /// `ptr` points to `len` readable bytes that nobody changes for `'a`.
    pub const unsafe fn bytes<'a>(self) -> Option<&'a [u8]> {
        if self.len == 0 {
            return Some(&[]);
        }
        if self.ptr.is_null() || self.len > isize::MAX as usize {
            return None;
        }
        // SAFETY: not null and of a possible length, as just checked; the rest is the caller's promise.
        Some(unsafe { slice::from_raw_parts(self.ptr, self.len) })
    }
}

/// Bytes whose receiver owns them, and frees them with their maker's function.
///
/// Has no `Drop` of its own, so that it can be passed by value through C; [`SetBuffer::free`] ends it.
#[repr(C)]
#[derive(Debug)]
pub struct SetBuffer {
    /// First byte; may be null where `len` is 0.
    pub ptr: *mut u8,
    /// Length in bytes.
    pub len: usize,
    /// The maker's own business: passed back to `free`.
    pub owner: *mut c_void,
    /// Frees the bytes; null where there is nothing to free. Can be called from any thread.
    pub free: Option<unsafe extern "C" fn(owner: *mut c_void, ptr: *mut u8, len: usize)>,
}

// SAFETY: the contract lets a buffer be read and freed on any thread.
unsafe impl Send for SetBuffer {}

impl SetBuffer {
    /// No bytes, nothing to free.
    pub const EMPTY: Self = Self {
        ptr: ptr::null_mut(),
        len: 0,
        owner: ptr::null_mut(),
        free: None,
    };

    /// Hands `bytes` over without copying them.
    pub fn from_vec(bytes: Vec<u8>) -> Self {
        let mut bytes = core::mem::ManuallyDrop::new(bytes);
        Self {
            ptr: bytes.as_mut_ptr(),
            len: bytes.len(),
            // A vector is freed by its capacity; the maker's field carries it.
            owner: ptr::without_provenance_mut(bytes.capacity()),
            free: Some(free_vec),
        }
    }

    /// The bytes; `None` where pointer and length contradict each other (see [`SetSlice::bytes`]).
    ///
    /// # Safety
    /// The buffer is as its maker made it, and has not been freed.
    pub const unsafe fn bytes(&self) -> Option<&[u8]> {
        // SAFETY: a buffer's maker keeps its bytes in place until it is freed, which needs `self` by value.
        unsafe {
            SetSlice {
                ptr: self.ptr,
                len: self.len,
            }
            .bytes()
        }
    }

    /// Gives the bytes back to their maker.
    ///
    /// # Safety
    /// The buffer is as its maker made it, and has not been freed.
    pub unsafe fn free(self) {
        if let Some(free) = self.free {
            // SAFETY: called once, with what the maker stored, as the caller promises.
            unsafe { free(self.owner, self.ptr, self.len) }
        }
    }
}

/// A received buffer that is freed when it goes out of scope.
#[derive(Debug)]
pub struct OwnedBuffer(SetBuffer);

// SAFETY: nothing but `bytes` uses a shared reference, and that only reads.
unsafe impl Sync for OwnedBuffer {}

impl OwnedBuffer {
    /// Takes charge of a received buffer.
    ///
    /// # Safety
    /// The buffer is as its maker made it, and nobody else frees it.
    pub const unsafe fn new(buffer: SetBuffer) -> Self {
        Self(buffer)
    }

    /// The bytes; `None` where the maker gave a length without bytes.
    pub const fn bytes(&self) -> Option<&[u8]> {
        // SAFETY: `new` was promised a sound buffer, and `drop` alone frees it.
        unsafe { self.0.bytes() }
    }

    /// Length in bytes, as the maker gave it.
    pub const fn len(&self) -> usize {
        self.0.len
    }

    /// Whether the maker gave a length of 0.
    pub const fn is_empty(&self) -> bool {
        self.0.len == 0
    }
}

impl Drop for OwnedBuffer {
    fn drop(&mut self) {
        let buffer = core::mem::replace(&mut self.0, SetBuffer::EMPTY);
        // SAFETY: `new` was promised that nobody else frees it, and the field is empty from now on.
        unsafe { buffer.free() };
    }
}

/// Frees what [`SetBuffer::from_vec`] made.
unsafe extern "C" fn free_vec(owner: *mut c_void, ptr: *mut u8, len: usize) {
    // SAFETY: pointer, length and capacity are those of the vector that `from_vec` took apart, in the
    // same library and so with the same allocator.
    drop(unsafe { Vec::from_raw_parts(ptr, len, owner.addr()) });
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_vector_survives_the_crossing(bytes: Vec<u8>, spare in 0usize..64) {
            let mut vector = Vec::with_capacity(bytes.len() + spare);
            vector.extend_from_slice(&bytes);
            let buffer = SetBuffer::from_vec(vector);
            // SAFETY: made just now, freed once, below.
            prop_assert_eq!(unsafe { buffer.bytes() }, Some(bytes.as_slice()));
            // SAFETY: as above.
            unsafe { buffer.free() };
        }
    }

    #[test]
    fn a_length_without_bytes_is_seen() {
        // SAFETY: null pointers and impossible lengths are never read.
        unsafe {
            assert_eq!(
                SetSlice {
                    ptr: ptr::null(),
                    len: 3
                }
                .bytes(),
                None
            );
            assert_eq!(
                SetSlice {
                    ptr: [0u8].as_ptr(),
                    len: usize::MAX
                }
                .bytes(),
                None
            );
            assert_eq!(SetSlice::EMPTY.bytes(), Some(&[][..]));
            assert_eq!(SetBuffer::EMPTY.bytes(), Some(&[][..]));
            SetBuffer::EMPTY.free();
            SetBuffer::from_vec(vec![]).free();
        }
    }
}
