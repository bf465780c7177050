// A crowd of idle processes that look like services: each has been exec'ed with its own arguments and
// about 2 KB of environment, and holds five descriptors. None of them ever forks.
//
//   crowd             commands on standard input, one a line, each answered by "<pid> <pid> …":
//                       idle <n>   start n processes that do nothing
//                       deaf <n>   start n processes that ignore SIGTERM
//                       end        kill all that were started; answered by an empty line
// They die with the crowd, and the crowd dies with its standard input or after ten minutes.
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

constexpr int kMost = 12000;
constexpr int kVariables = 28;
constexpr unsigned kLifetimeSeconds = 600;
constexpr int kReadyFd = 3;

pid_t children[kMost];
int child_count = 0;

// The exec'ed program: its descriptors are 0, 1, 2, a socket and an epoll instance.
int serve(bool deaf) {
  if (deaf) signal(SIGTERM, SIG_IGN);
  char ready = 1;
  ssize_t written = write(kReadyFd, &ready, 1);
  close(kReadyFd);
  if (written != 1) return 1;
  if (socket(AF_UNIX, SOCK_STREAM, 0) != kReadyFd || epoll_create1(0) < 0) return 1;
  for (;;) pause();
}

[[noreturn]] void become_service(const char* mode, int number, int ready) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int fd = 0; fd < 3; fd++) dup2(null, fd);
  if (ready != kReadyFd) dup2(ready, kReadyFd);
  fcntl(kReadyFd, F_SETFD, 0);
  char mode_argument[32], id[32], config[96], environment[kVariables][96];
  snprintf(mode_argument, sizeof mode_argument, "--%s", mode);
  snprintf(id, sizeof id, "--id=%d", number);
  snprintf(config, sizeof config, "--config=/etc/example/services/worker-%d.conf", number);
  char* argv[] = {const_cast<char*>("/opt/example/bin/worker"), mode_argument, id, config,
                  const_cast<char*>("--log-level=info"),        nullptr};
  char* envp[kVariables + 1];
  for (int i = 0; i < kVariables; i++) {
    snprintf(environment[i], sizeof environment[i],
             "EXAMPLE_SETTING_%02d=%d:/usr/local/share/example/service/data/%02d/x", i, number, i);
    envp[i] = environment[i];
  }
  envp[kVariables] = nullptr;
  execve("/proc/self/exe", argv, envp);
  _exit(127);
}

bool start(const char* mode, int count) {
  if (count < 1 || child_count + count > kMost) return false;
  int ready[2];
  if (pipe2(ready, O_CLOEXEC) != 0) return false;
  int first = child_count;
  for (int i = 0; i < count; i++) {
    pid_t pid = fork();
    if (pid < 0) return false;
    if (pid == 0) become_service(mode, first + i, ready[1]);
    children[child_count] = pid;
    child_count++;
  }
  close(ready[1]);
  char buffer[256];
  ssize_t got;
  int seen = 0;
  while (seen < count && (got = read(ready[0], buffer, sizeof buffer)) > 0) seen += static_cast<int>(got);
  close(ready[0]);
  if (seen != count) return false;
  for (int i = first; i < child_count; i++) printf(i + 1 < child_count ? "%d " : "%d\n", children[i]);
  fflush(stdout);
  return true;
}

// A reaped child's number may become somebody else's: it is forgotten before that can happen.
void reap(int) {
  int error = errno;
  while (pid_t pid = waitpid(-1, nullptr, WNOHANG)) {
    if (pid < 0) break;
    for (int i = 0; i < child_count; i++) {
      if (children[i] == pid) children[i] = 0;
    }
  }
  errno = error;
}

void hold_reaping(int how) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  sigprocmask(how, &set, nullptr);
}

void end() {
  hold_reaping(SIG_BLOCK);
  for (int i = 0; i < child_count; i++) {
    if (children[i] != 0) kill(children[i], SIGKILL);
  }
  while (wait(nullptr) > 0) {
  }
  child_count = 0;
  hold_reaping(SIG_UNBLOCK);
  printf("\n");
  fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) return serve(strcmp(argv[1], "--deaf") == 0);
  alarm(kLifetimeSeconds);
  for (int fd = 3; fd < 256; fd++) close(fd);
  signal(SIGCHLD, reap);  // with SA_RESTART, as glibc and musl do
  char line[64], mode[16];
  int count;
  while (fgets(line, sizeof line, stdin) != nullptr) {
    if (sscanf(line, "%15s %d", mode, &count) == 2) {
      if (!start(mode, count)) return 1;
    } else {
      end();
    }
  }
  return 0;
}
