/* What the runtime of AddressSanitizer asks the program for; ASAN_OPTIONS has the last word. */

/* Its name. */
const char *__asan_default_options(void); // NOLINT(bugprone-*,readability-*)

/* A look for leaks is half of what a call costs that ends at once and gives all of its memory back,
 * and tests make thousands. Unit tests of what is in it look, as do one row of its own, the worker,
 * the gateway and all else that stays. */
const char *__asan_default_options(void) // NOLINT(bugprone-*,readability-*)
{
    return "detect_leaks=0";
}
