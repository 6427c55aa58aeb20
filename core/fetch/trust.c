/* trust: a bundle is read into memory before the cage closes, for whom this process belongs to by
 * then may not reach the file. */
#include <fcntl.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "fetch/fetch.h"
#include "svc/fetch_wire.h"

enum { BUNDLE_MAX = 4 * 1024 * 1024 };

static struct buf bundle;

static void read_bundle(int fd)
{
    buf_init(&bundle, BUNDLE_MAX);
    for (;;) {
        char *p = buf_reserve(&bundle, 64 * 1024);
        ssize_t n = p ? read(fd, p, 64 * 1024) : -1;
        if (n <= 0)
            break;
        bundle.n += (size_t)n;
    }
    if (bundle.rc || bundle.n == 0) {
        log_error("the file of trusted certificates is empty or too large: nothing is trusted");
        buf_deinit(&bundle);
        buf_lit(&bundle, "none\n");
    }
}

void trust_load(bool from_environment)
{
    const char *path = from_environment ? getenv("AWS_CA_BUNDLE") : NULL;
    if (from_environment && (!path || !*path))
        path = getenv("SSL_CERT_FILE");
    int fd = FETCH_CA;
    if (from_environment)
        fd = path && *path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    else if (fcntl(FETCH_CA, F_GETFD) < 0)
        fd = -1;
    if (fd < 0 && path && *path)
        log_warn("%s cannot be read: the system's certificates are used", path);
    if (fd < 0)
        return;
    read_bundle(fd);
    close(fd);
}

void trust_apply(CURL *easy)
{
    struct curl_blob blob = {bundle.p, bundle.n, CURL_BLOB_NOCOPY};
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(easy, CURLOPT_SSL_SESSIONID_CACHE, 0L);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (bundle.n)
        curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &blob);
}
