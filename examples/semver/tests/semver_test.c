#include "../src/semver.h"

#include <stdio.h>

static int failed, checked;

static void check(bool holds, const char *what) {
    ++checked;
    if (!holds) {
        ++failed;
        printf("FAILED %s\n", what);
    }
}

static void refuses(const char *text) {
    struct semver version;
    check(!semver_parse(text, &version), text);
}

int main(void) {
    /* The order that semver.org gives as its example, oldest first. */
    static const char *order[] = {"0.9.0",      "1.0.0-1",       "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta",
                                  "1.0.0-beta", "1.0.0-beta.2",  "1.0.0-beta.11", "1.0.0-rc.1",  "1.0.0",
                                  "1.0.1",      "1.2.0",         "1.10.0",      "v2.0.0"};
    int count = (int)(sizeof order / sizeof order[0]);
    for (int i = 0; i < count; i++) {
        for (int j = 0; j < count; j++) {
            struct semver a, b;
            check(semver_parse(order[i], &a) && semver_parse(order[j], &b), order[i]);
            int found = semver_compare(&a, &b);
            check((found > 0) - (found < 0) == (i > j) - (i < j), order[i]);
        }
    }
    const char *bad[] = {"", "1", "1.2", "1.2.x", "01.2.3", "1.2.3-", "1.2.3+", "1.2.3 ", "99999999999999999999.0.0"};
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        refuses(bad[i]);
    }
    printf("%d checks, %d failed\n", checked, failed);
    return failed != 0;
}
