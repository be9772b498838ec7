#include "trainer/metrics/terminal.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>

#include "trainer/checkpoint/atomic_file.h"

namespace lockstep {
namespace {

bool is_pipe(int fd) {
  struct stat status {};
  return ::fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode);
}

// mpirun may be asked to put a name before each line, or to keep the lines in files, by options
// (--tag-output) and parameters (--mca orte_tag_output 1) that are called after the output. Then what is
// drawn over and over would be a mess. A value, such as a path, may be called so too.
bool changes_output(const std::string& process) {
  std::ifstream stream(process + "/cmdline", std::ios::binary);
  bool changes = !stream;
  std::string before;
  for (std::string word; std::getline(stream, word, '\0'); before = word) {
    const bool is_name = word.starts_with('-') || before.ends_with("mca");
    changes = changes || (is_name && word.substr(0, word.find('=')).find("output") != std::string::npos);
  }
  return changes;
}

}  // namespace

bool is_on_terminal() {
  if (::isatty(STDERR_FILENO) == 1) return true;
  if (std::getenv("OMPI_COMM_WORLD_RANK") == nullptr || !is_pipe(STDERR_FILENO)) return false;
  const std::string parent = fmt::format("/proc/{}", ::getppid());
  const FileDescriptor theirs(::open((parent + "/fd/2").c_str(), O_WRONLY | O_NOCTTY | O_CLOEXEC));
  return theirs.valid() && ::isatty(theirs.get()) == 1 && !changes_output(parent);
}

}  // namespace lockstep
