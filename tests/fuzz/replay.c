/* replay: runs a target over the inputs of its corpus, without a fuzzer: replay FILE, a line of hex
 * each. */
#include "base/codec.h"
#include "fuzz.h"

int main(int argc, char **argv)
{
    FILE *f = argc == 2 ? fopen(argv[1], "r") : NULL;
    char *line = NULL;
    size_t cap = 0, count = 0;
    ssize_t n;
    if (!f) {
        fprintf(stderr, "usage: %s CORPUS.txt\n", argv[0]);
        return 2;
    }
    while ((n = getline(&line, &cap, f)) >= 0) {
        while (n && (line[n - 1] == '\n' || line[n - 1] == '\r'))
            n--;
        char *bytes = malloc((size_t)n / 2 + 1);
        CHECK(bytes && hex_decode(str_of(line, (size_t)n), bytes));
        LLVMFuzzerTestOneInput((const uint8_t *)bytes, (size_t)n / 2);
        free(bytes);
        count++;
    }
    free(line);
    fclose(f);
    printf("%s: %zu inputs\n", argv[1], count);
    return count ? 0 : 1;
}
