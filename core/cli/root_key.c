/* root_key: reads the two lines it needs of an ini file, writes it 0600 and synced. */
#include "cli/root_key.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/codec.h"
#include "base/hash.h"

static bool take(char out[static 129], struct str value)
{
    if (value.n == 0 || value.n > 128)
        return false;
    memcpy(out, value.p, value.n);
    out[value.n] = 0;
    return true;
}

int root_key_read(const char *dir, struct root_key *out, struct err *err)
{
    char path[4096], text[4096];
    snprintf(path, sizeof path, "%s/root.credentials", dir);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set(err, errno == ENOENT ? E_NOT_FOUND : E_DENIED, "cannot read %s: %s", path,
                       strerror(errno));
    ssize_t n = read(fd, text, sizeof text);
    close(fd);
    struct str rest = str_of(text, n < 0 ? 0 : (size_t)n);
    bool access_key = false, secret = false;
    while (rest.p && rest.n) {
        struct str value = str_cut(&rest, '\n');
        struct str name = str_trim(str_cut(&value, '='));
        if (str_is(name, "aws_access_key_id"))
            access_key = take(out->access_key, str_trim(value));
        if (str_is(name, "aws_secret_access_key"))
            secret = take(out->secret, str_trim(value));
    }
    if (!access_key || !secret)
        return err_set(err, E_INVALID, "%s holds no aws_access_key_id and aws_secret_access_key",
                       path);
    return 0;
}

static int create(const char *dir, struct root_key *out, struct err *err)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    unsigned char raw[16 + 30];
    char path[4096], text[512];
    random_bytes(raw, sizeof raw);
    memcpy(out->access_key, "AKIA", 4);
    for (int i = 0; i < 16; i++)
        out->access_key[4 + i] = alphabet[raw[i] & 31];
    out->access_key[20] = 0;
    struct buf b = BUF_INIT;
    base64_encode(&b, str_of((char *)raw + 16, 30));
    take(out->secret, buf_str(&b));
    buf_deinit(&b);
    int n = snprintf(text, sizeof text,
                     "[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n",
                     out->access_key, out->secret);
    snprintf(path, sizeof path, "%s/root.credentials", dir);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, text, (size_t)n) != n || fsync(fd)) {
        int rc = err_set(err, E_IO, "cannot write %s: %s", path, strerror(errno));
        if (fd >= 0) {
            close(fd);
            unlink(path);
        }
        return rc;
    }
    close(fd);
    out->created = true;
    return 0;
}

int root_key_load(const char *dir, struct root_key *out, struct err *err)
{
    const char *access_key = getenv("PERILUNE_ROOT_ACCESS_KEY");
    const char *secret = getenv("PERILUNE_ROOT_SECRET_KEY");
    memset(out, 0, sizeof *out);
    if (!!access_key != !!secret)
        return err_set(
            err, E_INVALID,
            "PERILUNE_ROOT_ACCESS_KEY and PERILUNE_ROOT_SECRET_KEY must be set together");
    if (access_key) {
        if (!take(out->access_key, str_c(access_key)) || !take(out->secret, str_c(secret)))
            return err_set(err, E_INVALID, "the root key in the environment is empty or too long");
        return 0;
    }
    int rc = root_key_read(dir, out, err);
    return rc == E_NOT_FOUND ? create(dir, out, err) : rc;
}
