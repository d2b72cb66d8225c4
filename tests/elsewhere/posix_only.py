"""What Windows has not: whole modules, and names of modules that it has."""

ABSENT = {"fcntl", "grp", "pwd", "pty", "readline", "resource", "syslog", "termios", "tty"}
MISSING = {
    "os": {
        "O_CLOEXEC", "O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "WIFEXITED", "WNOHANG", "chown", "chroot", "ctermid",
        "fchdir", "fchmod", "fchown", "fork", "forkpty", "getegid", "geteuid", "getgid", "getgroups", "getloadavg",
        "getpgid", "getpgrp", "getpriority", "getrusage", "getsid", "getuid", "killpg", "lchown", "mkfifo", "mknod",
        "nice", "openpty", "pathconf", "posix_fadvise", "posix_fallocate", "posix_spawn", "register_at_fork",
        "sched_getaffinity", "sched_setaffinity", "sched_yield", "setgid", "setpgid", "setsid", "setuid", "statvfs",
        "sync", "sysconf", "tcgetpgrp", "ttyname", "uname", "wait", "wait3", "wait4",
    },
    "signal": {
        "SIGALRM", "SIGCHLD", "SIGCONT", "SIGHUP", "SIGKILL", "SIGPIPE", "SIGQUIT", "SIGSTOP", "SIGTSTP", "SIGUSR1",
        "SIGUSR2", "SIGWINCH", "alarm", "getitimer", "pause", "pthread_kill", "pthread_sigmask", "setitimer",
        "siginterrupt", "sigpending", "sigwait",
    },
    "select": {"epoll", "kqueue", "poll"},
    "socket": {"AF_UNIX", "socketpair"},
    "time": {"tzset"},
}  # fmt: skip
