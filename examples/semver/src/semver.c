#include "semver.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool read_number(const char **at, unsigned long *out) {
    const char *start = *at;
    char *end;
    if (!isdigit((unsigned char)*start) || (start[0] == '0' && isdigit((unsigned char)start[1]))) {
        return false;
    }
    errno = 0;
    *out = strtoul(start, &end, 10);
    *at = end;
    return errno == 0;
}

static bool skip(const char **at, char expected) {
    if (**at != expected) {
        return false;
    }
    ++*at;
    return true;
}

static size_t identifiers(const char *text) {
    return strspn(text, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-.");
}

bool semver_parse(const char *text, struct semver *out) {
    const char *at = text;
    if (*at == 'v') {
        ++at;
    }
    if (!read_number(&at, &out->major) || !skip(&at, '.') || !read_number(&at, &out->minor) || !skip(&at, '.')
        || !read_number(&at, &out->patch)) {
        return false;
    }
    out->pre[0] = '\0';
    if (skip(&at, '-')) {
        size_t length = identifiers(at);
        if (length == 0 || length >= sizeof out->pre) {
            return false;
        }
        memcpy(out->pre, at, length);
        out->pre[length] = '\0';
        at += length;
    }
    if (skip(&at, '+')) {
        size_t length = identifiers(at);
        if (length == 0) {
            return false;
        }
        at += length;
    }
    return *at == '\0';
}

static int order(unsigned long a, unsigned long b) {
    return (a > b) - (a < b);
}

/* Identifiers between dots: numbers by value and before words, words by bytes, fewer before more. */
static int compare_pre(const char *a, const char *b) {
    while (*a && *b) {
        size_t la = strcspn(a, "."), lb = strcspn(b, ".");
        bool na = strspn(a, "0123456789") == la, nb = strspn(b, "0123456789") == lb;
        int found;
        if (na && nb) {
            found = order(strtoul(a, NULL, 10), strtoul(b, NULL, 10));
        } else if (na != nb) {
            found = na ? -1 : 1;
        } else {
            size_t shorter = la < lb ? la : lb;
            found = strncmp(a, b, shorter);
            if (found == 0) {
                found = order(la, lb);
            }
        }
        if (found != 0) {
            return found;
        }
        a += la + (a[la] == '.');
        b += lb + (b[lb] == '.');
    }
    return (*a != '\0') - (*b != '\0');
}

int semver_compare(const struct semver *a, const struct semver *b) {
    int found = order(a->major, b->major);
    if (found == 0) {
        found = order(a->minor, b->minor);
    }
    if (found == 0) {
        found = order(a->patch, b->patch);
    }
    if (found != 0) {
        return found;
    }
    /* A pre-release is older than its release. */
    if (a->pre[0] == '\0' || b->pre[0] == '\0') {
        return (a->pre[0] == '\0') - (b->pre[0] == '\0');
    }
    return compare_pre(a->pre, b->pre);
}
