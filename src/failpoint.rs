//! Fail points: places on the road of an event where a test can end the process, exactly there.
//!
//! Without the feature `failpoints` none of this is in the program. With it, the file that the variable [`ORDER`] names says where to die:
//! `PLACE`, or `PLACE COUNT` for when somebody comes by for the `COUNT`th time, or `PLACE 1 MARK` for whoever bears that mark, a word. The
//! file may be written and removed while the process runs.

/// A place where the process can be made to die; in a program that is built without the feature, nothing.
macro_rules! failpoint {
    ($place:literal) => {
        failpoint!($place, "")
    };
    ($place:literal, $mark:expr) => {
        #[cfg(feature = "failpoints")]
        $crate::failpoint::pass($place, $mark);
    };
}

pub(crate) use failpoint;

/// The environment variable that names the file.
#[cfg(feature = "failpoints")]
pub const ORDER: &str = "TIDINGS_FAILPOINT";

/// Dies where the order says so. Nothing is closed, flushed or rolled back: that is the point.
#[cfg(feature = "failpoints")]
pub(crate) fn pass(place: &str, mark: &str) {
    use std::path::PathBuf;
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    static FILE: LazyLock<Option<PathBuf>> = LazyLock::new(|| std::env::var_os(ORDER).map(PathBuf::from));
    static PASSED: AtomicU32 = AtomicU32::new(0);

    let Some(order) = FILE.as_ref().and_then(|file| std::fs::read_to_string(file).ok()) else { return };
    let mut words = order.split_whitespace();
    let (wanted, count, marked) = (words.next(), words.next(), words.next());
    if wanted != Some(place) || marked.is_some_and(|marked| marked != mark) {
        return;
    }
    let count = count.and_then(|count| count.parse().ok()).unwrap_or(1);
    if PASSED.fetch_add(1, Ordering::Relaxed) + 1 >= count {
        std::process::abort();
    }
}
