// expect: a sentence

// The checker must notice that the file fails without the mistake, too.
static_assert(false, "a sentence");
#ifdef TEMPER_MUST_FAIL
static_assert(false, "a sentence");
#endif
