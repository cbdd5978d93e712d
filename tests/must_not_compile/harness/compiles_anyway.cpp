// expect: anything

// The checker must notice that the mistake is accepted.
#ifdef TEMPER_MUST_FAIL
int mistake = 0;
#endif
