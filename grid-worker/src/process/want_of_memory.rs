//! What programs say when the kernel gives them no more address space.

use grid_core::reason::Failure;

/// In lower case, each with who says so. Short, since a phrase that other failures use, too, would double the memory of
/// items that need no more.
const WORDS: &[&str] = &[
    // strerror(ENOMEM), bash, coreutils, git.
    "cannot allocate memory",
    // Go, Perl, Node, CUDA, mawk, JavaScript engines.
    "out of memory",
    // Python and NumPy.
    "memoryerror",
    // C++.
    "std::bad_alloc",
    // Rust: "memory allocation of 4096 bytes failed".
    "memory allocation of",
    // GNU programs (gnulib): sort, grep, sed.
    "memory exhausted",
    // Java: an exception, and a heap that cannot even be reserved.
    "outofmemoryerror",
    "insufficient memory for the java runtime",
    "could not reserve enough space for",
    // R.
    "cannot allocate vector of size",
    // Ruby.
    "failed to allocate memory",
    // bash: "xrealloc: cannot allocate 62562304 bytes". dash ends with SIGSEGV and says nothing.
    "alloc: cannot allocate",
    // The dynamic linker, when not even the libraries find room.
    "failed to map segment from shared object",
];

/// Whether the end of its stderr, or a co-process in its reply, says that memory was wanting.
pub(super) fn is_told_in(failure: &Failure) -> bool {
    [&failure.stderr, &failure.message].into_iter().any(|text| {
        let text = text.to_ascii_lowercase();
        WORDS.iter().any(|words| text.contains(words))
    })
}

#[cfg(test)]
mod tests {
    use grid_core::reason::Reason;

    use super::*;

    fn is_told(stderr: &str) -> bool {
        is_told_in(&Failure { stderr: stderr.into(), ..Failure::new(Reason::Exit, "exit status 1") })
    }

    #[test]
    fn programs_say_it_in_these_words() {
        let said = [
            "Traceback (most recent call last):\n  File \"<string>\", line 1, in <module>\nMemoryError\n",
            "numpy.core._exceptions._ArrayMemoryError: Unable to allocate 7.45 GiB for an array\n",
            "bash: line 1: fork: Cannot allocate memory\n",
            "bash: xrealloc: cannot allocate 62562304 bytes\n",
            "Out of memory!\npanic: fold_constants JMPENV_PUSH returned 2 at -e line 1.\n",
            "mawk: run time error: out of memory\n\tFILENAME=\"\" FNR=0 NR=0\n",
            "sort: memory exhausted\n",
            "terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc\n",
            "memory allocation of 1073741824 bytes failed\nAborted\n",
            "fatal error: runtime: out of memory\n\ngoroutine 1 [running]:\n",
            "Exception in thread \"main\" java.lang.OutOfMemoryError: Java heap space\n\tat Main.main(Main.java:3)\n",
            "Error: cannot allocate vector of size 7.5 Gb\nExecution halted\n",
            "ls: error while loading shared libraries: libc.so.6: failed to map segment from shared object\n",
        ];
        for stderr in said {
            assert!(is_told(stderr), "{stderr}");
        }
    }

    #[test]
    fn other_troubles_are_not_taken_for_it() {
        let said = [
            "",
            "cp: error writing 'x': No space left on device\n",
            "error: we are out of space for rent\n",
            "memory limit: 1 GiB\nassertion failed: left == right\n",
            "Segmentation fault\n",
            "ValueError: could not allocate a seat\n",
        ];
        for stderr in said {
            assert!(!is_told(stderr), "{stderr}");
        }
    }
}
