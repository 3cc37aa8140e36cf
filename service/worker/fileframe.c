#include "service/worker/fileframe.h"

#include <stdbool.h>
#include <string.h>

#include "base/err.h"

enum { PERMISSIONS = 0777, NANOS = 1000000000, MAX_ERRNO = 4095 };

/* Names parted by single slashes, none of them "." or "..". */
static bool is_below(struct sb_str path)
{
    struct sb_str rest = path;
    struct sb_str name;
    if (path.len == 0) {
        return true;
    }
    if (path.len >= SB_FILE_MAX_PATH || sb_str_has_nul(path)) {
        return false;
    }
    while (sb_str_next(&rest, '/', &name)) {
        if (name.len == 0 || sb_str_eq(name, SB_STR(".")) || sb_str_eq(name, SB_STR(".."))) {
            return false;
        }
    }
    return true;
}

static bool read_info(const char *packet, size_t len, struct sb_fileframe *frame)
{
    struct sb_file_info *info = &frame->info;
    if (len < sizeof *info) {
        return false;
    }
    memcpy(info, packet, sizeof *info);
    if (len - sizeof *info != (size_t)info->path_len + info->link_len ||
        info->kind < SB_FILE_KIND_REGULAR || info->kind > SB_FILE_KIND_SPECIAL ||
        info->mode > PERMISSIONS || info->modify_ns >= NANOS) {
        return false;
    }
    frame->path = sb_str_of(packet + sizeof *info, info->path_len);
    frame->link = sb_str_of(packet + sizeof *info + info->path_len, info->link_len);
    return is_below(frame->path) && frame->link.len < SB_FILE_MAX_PATH &&
           !sb_str_has_nul(frame->link) &&
           (frame->link.len == 0 || info->kind == SB_FILE_KIND_SYMLINK);
}

static bool read_data(const char *packet, size_t len, struct sb_fileframe *frame)
{
    frame->data = sb_str_skip(sb_str_of(packet, len), sizeof(struct sb_file_head));
    return frame->data.len > 0 && frame->data.len <= SB_FILE_MAX_DATA;
}

static bool read_ready(const char *packet, size_t len, struct sb_fileframe *frame)
{
    (void)packet;
    (void)frame;
    return len == sizeof(struct sb_file_head);
}

static bool read_done(const char *packet, size_t len, struct sb_fileframe *frame)
{
    if (len != sizeof frame->done) {
        return false;
    }
    memcpy(&frame->done, packet, sizeof frame->done);
    return true;
}

static bool read_failed(const char *packet, size_t len, struct sb_fileframe *frame)
{
    if (len < sizeof frame->failed) {
        return false;
    }
    memcpy(&frame->failed, packet, sizeof frame->failed);
    frame->path = sb_str_skip(sb_str_of(packet, len), sizeof frame->failed);
    return frame->failed.error > 0 && frame->failed.error <= MAX_ERRNO &&
           frame->failed.why < SB_FILE_WHYS && frame->path.len < SB_FILE_MAX_PATH &&
           !sb_str_has_nul(frame->path);
}

static bool read_match(const char *packet, size_t len, struct sb_fileframe *frame)
{
    struct sb_file_match *match = &frame->match;
    if (len < sizeof *match) {
        return false;
    }
    memcpy(match, packet, sizeof *match);
    if (len - sizeof *match != (size_t)match->path_len + match->text_len || match->line == 0) {
        return false;
    }
    frame->path = sb_str_of(packet + sizeof *match, match->path_len);
    frame->data = sb_str_of(packet + sizeof *match + match->path_len, match->text_len);
    return is_below(frame->path) && frame->data.len <= SB_FILE_MAX_LINE;
}

static bool read_event(const char *packet, size_t len, struct sb_fileframe *frame)
{
    struct sb_file_event event;
    if (len < sizeof event) {
        return false;
    }
    memcpy(&event, packet, sizeof event);
    frame->event = event.kind;
    frame->path = sb_str_skip(sb_str_of(packet, len), sizeof event);
    return event.kind >= SB_FILE_EVENT_CREATED && event.kind <= SB_FILE_EVENT_OVERFLOW &&
           is_below(frame->path);
}

int sb_fileframe_read(const void *packet,
                      size_t len,
                      struct sb_fileframe *ret_frame,
                      struct sb_err *err)
{
    static bool (*const readers[])(const char *packet, size_t len, struct sb_fileframe *frame) = {
        [SB_FILE_INFO] = read_info,   [SB_FILE_DATA] = read_data,      [SB_FILE_READY] = read_ready,
        [SB_FILE_DONE] = read_done,   [SB_FILE_FAILED] = read_failed,  [SB_FILE_MATCH] = read_match,
        [SB_FILE_EVENT] = read_event, [SB_FILE_REFUSED] = read_failed,
    };
    struct sb_fileframe frame = {0};
    uint32_t type = 0;
    if (len >= sizeof type) {
        memcpy(&type, packet, sizeof type);
    }
    if (type >= sizeof readers / sizeof *readers || readers[type] == NULL ||
        !readers[type](packet, len, &frame)) {
        return sb_err_set(err, SB_INTERNAL, "the file helper said nonsense (%zu bytes of type %u)",
                          len, type);
    }
    frame.type = (enum sb_file_type)type;
    *ret_frame = frame;
    return 0;
}
