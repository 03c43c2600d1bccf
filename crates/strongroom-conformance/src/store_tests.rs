//! The macro that makes a backend's test file.

/// Makes one `#[test]` of each rule, for the store that the argument gives.
///
/// `store_tests!(store)` takes an expression that gives an empty volatile store, once a test or more often.
/// `store_tests!(place, open)` takes an expression that gives an empty place and a closure that opens the store in a
/// place, as a `Result`; it adds the rules about reopening. A file that tests two stores gives each a module.
#[macro_export]
macro_rules! store_tests {
    ($store:expr $(,)?) => {
        #[cfg(test)]
        fn conformance_subject() -> $crate::Subject {
            $crate::Subject::volatile(|| $store)
        }
        $crate::__every_case!(__case_tests);
    };
    ($place:expr, $open:expr $(,)?) => {
        #[cfg(test)]
        fn conformance_subject() -> $crate::Subject {
            $crate::Subject::durable(|| $place, $open)
        }
        $crate::__every_case!(__case_tests);
        $crate::__durable_cases!(__case_tests);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __case_tests {
    ($($file:ident { $($name:ident)* })*) => {
        $($(
            #[test]
            fn $name() {
                $crate::run(stringify!($name), &conformance_subject());
            }
        )*)*
    };
}
