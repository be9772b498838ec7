#include "trainer/checkpoint/whole_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "comm/base/error.h"
#include "trainer/checkpoint/atomic_file.h"

namespace lockstep {
namespace {

// Not to wait for ever where a file is a pipe.
constexpr int how_to_open = O_RDONLY | O_CLOEXEC | O_NONBLOCK;

// Fills `bytes` as far as the file goes. Answers how many there were, or nothing, with errno set.
std::optional<std::size_t> read_up_to(int descriptor, std::span<std::byte> bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t got = ::read(descriptor, bytes.data() + done, bytes.size() - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return std::nullopt;
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

}  // namespace

FileBytes read_whole_file(const std::filesystem::path& file) {
  const FileDescriptor descriptor(::open(file.c_str(), how_to_open));
  struct stat status {};
  if (!descriptor.valid() || ::fstat(descriptor.get(), &status) != 0) {
    throw_system_error(file, "cannot be read");
  }
  if (!S_ISREG(status.st_mode)) throw DataError(fmt::format("{}: is no regular file", file.string()));

  const auto size = static_cast<std::size_t>(status.st_size);
  FileBytes read{.contents = Buffer(size), .bytes = size};
  const auto got = read_up_to(descriptor.get(), {read.contents.data(), size});
  if (!got) throw_system_error(file, "cannot be read");
  if (*got < size) throw DataError(fmt::format("{}: became shorter while it was read", file.string()));
  return read;
}

std::string read_short_line(const std::filesystem::path& file) {
  constexpr std::size_t longest = 256;
  const FileDescriptor descriptor(::open(file.c_str(), how_to_open));
  struct stat status {};
  if (!descriptor.valid() || ::fstat(descriptor.get(), &status) != 0 || !S_ISREG(status.st_mode)) return "";
  std::string line(longest + 1, '\0');
  line.resize(read_up_to(descriptor.get(), std::as_writable_bytes(std::span(line))).value_or(0));
  line.resize(std::min(line.find('\n'), line.size()));
  return line.size() <= longest ? line : "";
}

}  // namespace lockstep
