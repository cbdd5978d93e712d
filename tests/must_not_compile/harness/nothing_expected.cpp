// The checker must notice that this file does not say what it expects.
#ifdef TEMPER_MUST_FAIL
static_assert(false, "a sentence");
#endif
