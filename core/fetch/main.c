/* main: perilune-fetch. The core starts it without arguments and a socket as standard input; the
 * command line with `--tunnel HOST PORT`. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "base/log.h"
#include "fetch/fetch.h"

enum { THREAD_STACK = 512 * 1024 }; /* of those that wait for the resolver */

static void small_stacks(void)
{
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    if (pthread_attr_setstacksize(&attr, THREAD_STACK) == 0)
        pthread_setattr_default_np(&attr);
    pthread_attr_destroy(&attr);
}

int main(int argc, char **argv)
{
    bool tunnel = argc == 4 && strcmp(argv[1], "--tunnel") == 0;
    if (argc != 1 && !tunnel) {
        fputs("perilune-fetch is started by perilune; it does nothing by itself\n", stderr);
        return 2;
    }
    log_init("fetch", LOG_LEVEL_INFO);
    signal(SIGPIPE, SIG_IGN);
    small_stacks();
    trust_load(tunnel);
    if (curl_global_init(CURL_GLOBAL_DEFAULT)) {
        log_error("libcurl cannot be used");
        return 1;
    }
    cage_enter();
    return tunnel ? tunnel_serve(argv[2], argv[3]) : transfer_serve();
}
