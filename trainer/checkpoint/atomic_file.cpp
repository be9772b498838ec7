#include "trainer/checkpoint/atomic_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

#include "comm/base/error.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view mark = ".tmp-";

// ".<name>.tmp-<process>-<number>": no two writers of this machine share one.
fs::path temporary_beside(const fs::path& file) {
  static std::atomic<unsigned> number = 0;
  return file.parent_path() / fmt::format(".{}{}{}-{}", file.filename().string(), mark, ::getpid(), number++);
}

}  // namespace

bool FileDescriptor::close() {
  const int fd = std::exchange(fd_, -1);
  return fd < 0 || ::close(fd) == 0;
}

void FileDescriptor::reset(int fd) {
  close();
  fd_ = fd;
}

void throw_system_error(const fs::path& file, std::string_view doing) {
  const std::string reason = std::generic_category().message(errno);
  throw DataError(fmt::format("{}: {}: {}", file.string(), doing, reason));
}

std::size_t write_some(const FileDescriptor& descriptor, std::span<const std::byte> bytes,
                       const fs::path& file) {
  ssize_t written = -1;
  do {
    written = ::write(descriptor.get(), bytes.data(), bytes.size());
  } while (written < 0 && errno == EINTR);
  if (written == 0) errno = ENOSPC;  // nothing was taken, and nobody says why
  if (written <= 0) throw_system_error(file, "cannot be written");
  return static_cast<std::size_t>(written);
}

void sync_folder(const fs::path& folder) {
  const FileDescriptor descriptor(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  // EINVAL: a file system that cannot sync a folder; there is no more to be had from it.
  if (!descriptor.valid() || (::fsync(descriptor.get()) != 0 && errno != EINVAL)) {
    throw_system_error(folder, "cannot sync the folder");
  }
}

AtomicFile::AtomicFile(fs::path file) : file_(std::move(file)) {
  // A file of the same name may be left from a dead process that had our number.
  do {
    temporary_ = temporary_beside(file_);
    descriptor_.reset(::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  } while (!descriptor_.valid() && errno == EEXIST);
  if (!descriptor_.valid()) throw_system_error(file_, "cannot be written");
}

AtomicFile::~AtomicFile() {
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) bytes = bytes.subspan(write_some(descriptor_, bytes, file_));
}

void AtomicFile::commit() {
  if (::fsync(descriptor_.get()) != 0 || !descriptor_.close() ||
      ::rename(temporary_.c_str(), file_.c_str()) != 0) {
    throw_system_error(file_, "cannot be written");
  }
  temporary_.clear();
  sync_folder(file_.has_parent_path() ? file_.parent_path() : ".");
}

bool AtomicFile::is_temporary(const fs::path& file) {
  const std::string name = file.filename().string();
  const std::size_t at = name.rfind(mark);
  return name.starts_with('.') && at != std::string::npos && at + mark.size() < name.size() &&
         name.find_first_not_of("0123456789-", at + mark.size()) == std::string::npos;
}

}  // namespace lockstep
