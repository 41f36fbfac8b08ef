/* Semantic versions (https://semver.org): reading and comparing. */
#ifndef SEMVER_H
#define SEMVER_H

#include <stdbool.h>

/* What stands before and behind the dots, and the pre-release, which may be empty. */
struct semver {
    unsigned long major, minor, patch;
    char pre[64];
};

/* Reads "1.2.3", "v1.2.3" or "1.2.3-rc.1+build"; false when it is no version. */
bool semver_parse(const char *text, struct semver *out);

/* Less than, equal to or greater than 0, as a is older than, as old as or newer than b. */
int semver_compare(const struct semver *a, const struct semver *b);

#endif
