#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>

namespace lockstep {

// Owns a file descriptor.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  ~FileDescriptor() { close(); }

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  void reset(int fd);
  // False, with errno set, where the system could not keep what was written.
  bool close();

 private:
  int fd_ = -1;
};

// Throws DataError "<file>: <doing>: <the system's reason>" from errno.
[[noreturn]] void throw_system_error(const std::filesystem::path& file, std::string_view doing);

// Writes what the system takes at once, at least a byte of `bytes`, and answers how much that was. Throws
// DataError, naming `file`.
std::size_t write_some(const FileDescriptor& descriptor, std::span<const std::byte> bytes,
                       const std::filesystem::path& file);

// Brings what was made, renamed or removed in a folder to the disk. Throws DataError.
void sync_folder(const std::filesystem::path& folder);

// Writes a file all or nothing: a temporary file beside it, fsync, rename, fsync of the folder. Permissions
// follow the umask. Throws DataError with the path and the system's reason; then what was there before is as
// it was, and the temporary file is gone.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path file);
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile();

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }
  // Puts the file in its place. Without it nothing happens.
  void commit();

  // Whether a file of this name is the temporary one of some AtomicFile: what a killed writer leaves behind.
  static bool is_temporary(const std::filesystem::path& file);

 private:
  std::filesystem::path file_;
  std::filesystem::path temporary_;  // empty once it is gone
  FileDescriptor descriptor_;
};

}  // namespace lockstep
