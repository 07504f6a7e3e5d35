/* A JSON reader that is just large enough, and the table of what it read. */
#define _GNU_SOURCE
#include "state.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_LENGTH 512
#define DEEPEST 16

struct entry {
    char *path;
    char *text;
};

static struct entry *entries;
static int entry_count, entry_room;
static const char *cursor; /* of the text that is being read */
static int malformed;

static void keep(const char *path, const char *text, size_t length) {
    if (entry_count == entry_room) {
        entry_room = entry_room ? entry_room * 2 : 128;
        entries = realloc(entries, (size_t)entry_room * sizeof *entries);
    }
    entries[entry_count].path = strdup(path);
    entries[entry_count].text = strndup(text, length);
    entry_count++;
}

static void forget_all(void) {
    for (int i = 0; i < entry_count; i++) {
        free(entries[i].path);
        free(entries[i].text);
    }
    entry_count = 0;
}

static void skip_space(void) {
    while (isspace((unsigned char)*cursor)) cursor++;
}

/* Step over a character that must be there. */
static void expect(char wanted) {
    if (*cursor == wanted) cursor++;
    else malformed = 1;
}

static char *read_string(void) {
    expect('"');
    char *text = malloc(strlen(cursor) + 1);
    size_t length = 0;
    while (*cursor && *cursor != '"') {
        if (*cursor == '\\' && cursor[1]) cursor++;
        text[length++] = *cursor++;
    }
    text[length] = 0;
    expect('"');
    return text;
}

static void read_value(const char *path, int depth);

static void read_object(const char *path, int depth) {
    char below[PATH_LENGTH];
    expect('{');
    for (skip_space(); *cursor && *cursor != '}' && !malformed; skip_space()) {
        char *key = read_string();
        snprintf(below, sizeof below, "%s%s%s", path, *path ? "." : "", key);
        free(key);
        skip_space();
        expect(':');
        read_value(below, depth);
        skip_space();
        if (*cursor == ',') cursor++;
    }
    expect('}');
}

static void read_list(const char *path, int depth) {
    char below[PATH_LENGTH], length[16];
    int count = 0;
    expect('[');
    for (skip_space(); *cursor && *cursor != ']' && !malformed; skip_space()) {
        snprintf(below, sizeof below, "%s.%d", path, count++);
        read_value(below, depth);
        skip_space();
        if (*cursor == ',') cursor++;
    }
    expect(']');
    snprintf(below, sizeof below, "%s.#", path);
    snprintf(length, sizeof length, "%d", count);
    keep(below, length, strlen(length));
}

static void read_value(const char *path, int depth) {
    skip_space();
    if (malformed || depth > DEEPEST) {
        malformed = 1;
    } else if (*cursor == '{') {
        read_object(path, depth + 1);
    } else if (*cursor == '[') {
        read_list(path, depth + 1);
    } else if (*cursor == '"') {
        char *text = read_string();
        keep(path, text, strlen(text));
        free(text);
    } else {
        const char *start = cursor;
        while (*cursor && !strchr(",]} \n\t\r", *cursor)) cursor++;
        malformed |= cursor == start;
        keep(path, start, (size_t)(cursor - start));
    }
}

static int same_file(const struct stat *a, const struct stat *b) {
    return a->st_ino == b->st_ino && a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

int state_load(void) {
    static struct stat read_last;
    static int readable;
    struct stat now;
    const char *file = getenv("FAKE_NVML_STATE");
    if (!file) file = "/etc/fake-nvml.json";
    int descriptor = open(file, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0 || fstat(descriptor, &now)) {
        if (descriptor >= 0) close(descriptor);
        return readable = 0;
    }
    if (!readable || !same_file(&now, &read_last)) {
        char *text = malloc((size_t)now.st_size + 1);
        ssize_t length = read(descriptor, text, (size_t)now.st_size);
        text[length > 0 ? length : 0] = 0;
        forget_all();
        malformed = 0;
        cursor = text;
        read_value("", 0);
        free(text);
        if (malformed) fprintf(stderr, "fake NVML: %s is not JSON\n", file);
        readable = !malformed;
        read_last = now;
    }
    close(descriptor);
    return readable;
}

const char *state_get(const char *format, ...) {
    char path[PATH_LENGTH];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(path, sizeof path, format, arguments);
    va_end(arguments);
    for (int i = 0; i < entry_count; i++)
        if (!strcmp(entries[i].path, path)) return entries[i].text;
    return NULL;
}

uint64_t state_number(const char *text, uint64_t otherwise) {
    return text && strcmp(text, "null") ? strtoull(text, NULL, 0) : otherwise;
}

int state_true(const char *text) {
    return text && strcmp(text, "false") && strcmp(text, "0") && strcmp(text, "null");
}
