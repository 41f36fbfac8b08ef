/* semver A B: prints <, = or >. semver --version: what was built. */
#include "semver.h"

#include <stdio.h>
#include <string.h>

#ifndef COMMIT
#define COMMIT "unknown"
#endif

int main(int argc, char **argv) {
    struct semver a, b;
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        puts("semver 1.0.0 (" COMMIT ")");
        return 0;
    }
    if (argc != 3) {
        fputs("usage: semver A B | semver --version\n", stderr);
        return 2;
    }
    for (int i = 1; i < 3; i++) {
        if (!semver_parse(argv[i], i == 1 ? &a : &b)) {
            fprintf(stderr, "semver: %s is no version\n", argv[i]);
            return 2;
        }
    }
    int found = semver_compare(&a, &b);
    puts(found < 0 ? "<" : found > 0 ? ">" : "=");
    return 0;
}
