// expect: temper: the sentence that stands in the header

// The checker must notice that the compiler fails for another reason.
#ifdef TEMPER_MUST_FAIL
static_assert(false, "another sentence");
#endif
