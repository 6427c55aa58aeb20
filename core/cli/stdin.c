/* stdin: reading, and the terminal's echo. */
#include "cli/stdin.h"

#include <errno.h>
#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include "cli/cli.h"

int stdin_read(int fd, const char *name, struct buf *out)
{
    char block[16 * 1024];
    for (;;) {
        ssize_t n = read(fd, block, sizeof block);
        if (n < 0 && errno != EINTR)
            return cli_fail(CLI_FAILED, "%s: %s", name, strerror(errno));
        if (n == 0)
            return CLI_OK;
        buf_add(out, str_of(block, n > 0 ? (size_t)n : 0));
        if (out->rc)
            return cli_fail(CLI_FAILED, "%s holds more than %zu bytes", name, out->limit);
    }
}

int stdin_file(const char *path, struct buf *out)
{
    if (strcmp(path, "-") == 0)
        return stdin_read(0, "standard input", out);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return cli_fail(errno == ENOENT ? CLI_NOT_FOUND : CLI_FAILED, "%s: %s", path,
                        strerror(errno));
    int rc = stdin_read(fd, path, out);
    close(fd);
    return rc;
}

int stdin_secret(const char *prompt, struct buf *out)
{
    struct termios shown, hidden;
    bool terminal = isatty(0) && tcgetattr(0, &shown) == 0;
    int rc = CLI_OK;
    if (terminal) {
        hidden = shown;
        hidden.c_lflag &= ~(tcflag_t)ECHO;
        tcsetattr(0, TCSAFLUSH, &hidden); /* first: what is typed once the prompt is there counts */
        fputs(prompt, stderr);
        for (char c; read(0, &c, 1) == 1 && c != '\n';)
            buf_addc(out, c);
        tcsetattr(0, TCSAFLUSH, &shown);
        fputc('\n', stderr);
        if (out->rc)
            rc = cli_fail(CLI_FAILED, "that is more than %zu bytes", out->limit);
    } else {
        rc = stdin_read(0, "standard input", out);
    }
    if (rc == CLI_OK && out->n && out->p[out->n - 1] == '\n')
        out->n--;
    return rc;
}
