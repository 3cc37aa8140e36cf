#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Stands in for libFuzzer's main: gives each file named on the command line, and the empty input,
 * to the fuzz target once. */

#define INPUT_MAX ((size_t)1 << 20) /* bytes; longer files are cut */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(const char *path)
{
    FILE *f = fopen(path, "rbe");
    uint8_t *data = malloc(INPUT_MAX);
    if (f == NULL || data == NULL) {
        perror(path);
        if (f != NULL) {
            (void)fclose(f);
        }
        free(data);
        return -1;
    }
    size_t len = fread(data, 1, INPUT_MAX, f);
    int result = ferror(f) == 0 ? 0 : -1;
    (void)fclose(f);

    /* A block of exactly that size, so that AddressSanitizer sees the first byte beyond. */
    uint8_t *exact = realloc(data, len == 0 ? 1 : len);
    (void)fprintf(stderr, "%s: %zu bytes\n", path, len);
    (void)LLVMFuzzerTestOneInput(exact == NULL ? data : exact, len);
    free(exact == NULL ? data : exact);
    return result;
}

int main(int argc, char **argv)
{
    static const uint8_t empty;
    (void)LLVMFuzzerTestOneInput(&empty, 0);
    int result = EXIT_SUCCESS;
    for (int i = 1; i < argc; i++) {
        if (replay(argv[i]) < 0) {
            result = EXIT_FAILURE;
        }
    }
    return result;
}
