#include "trainer/metrics/growing_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <span>
#include <utility>

namespace lockstep {

GrowingFile::GrowingFile(std::filesystem::path file)
    : file_(std::move(file)),
      descriptor_(::open(file_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666)) {
  if (!descriptor_.valid()) throw_system_error(file_, "cannot be written");
}

void GrowingFile::write(std::string_view bytes) {
  keep(bytes);
  flush();
}

void GrowingFile::flush() {
  while (!unwritten_.empty()) {
    unwritten_.erase(0, write_some(descriptor_, std::as_bytes(std::span(unwritten_)), file_));
  }
}

void GrowingFile::sync() {
  flush();
  // EINVAL: no file, but a pipe that somebody put in its place.
  if (::fsync(descriptor_.get()) != 0 && errno != EINVAL) throw_system_error(file_, "cannot be written");
}

}  // namespace lockstep
