#include "trainer/checkpoint/run_directory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "comm/base/error.h"
#include "trainer/checkpoint/whole_file.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using std::chrono::steady_clock;

constexpr std::chrono::milliseconds poll_interval{50};

std::string checkpoint_name(std::int64_t step) {
  return fmt::format("step-{:08}.safetensors", step);
}

[[noreturn]] void throw_error(const fs::path& file, std::string_view doing, const std::error_code& error) {
  throw DataError(fmt::format("{}: {}: {}", file.string(), doing, error.message()));
}

// On disk when it returns, as are the parents that it made.
void make_folder(const fs::path& dir) {
  std::error_code error;
  std::vector<fs::path> missing;
  for (fs::path path = fs::absolute(dir, error); !fs::exists(path, error) && !error;
       path = path.parent_path()) {
    missing.push_back(path);
  }
  fs::create_directories(dir, error);
  if (error) throw_error(dir, "cannot be made", error);
  if (!fs::is_directory(dir, error)) throw DataError(fmt::format("{}: is no folder", dir.string()));
  if (::access(dir.c_str(), W_OK | X_OK) != 0) throw_system_error(dir, "cannot be written");
  for (const fs::path& made : missing) sync_folder(made.parent_path());
}

// A disk that does not answer must not pass for a folder without checkpoints.
fs::file_type type_of(const fs::path& file) {
  std::error_code error;
  const fs::file_status status = fs::status(file, error);
  if (!fs::status_known(status)) throw_error(file, "cannot be looked at", error);
  return status.type();
}

bool is_there(const fs::path& file) {
  return type_of(file) != fs::file_type::not_found;
}

std::vector<fs::path> files_in(const fs::path& dir) {
  std::error_code error;
  std::vector<fs::path> files;
  if (type_of(dir) != fs::file_type::directory) return files;
  fs::directory_iterator entry(dir, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) files.push_back(entry->path());
  if (error) throw_error(dir, "cannot be read", error);
  return files;
}

void remove_file(const fs::path& file) {
  std::error_code error;
  fs::remove(file, error);
  if (error) throw_error(file, "cannot be removed", error);
}

}  // namespace

std::optional<std::int64_t> step_of_checkpoint(std::string_view name) {
  constexpr std::string_view before = "step-";
  std::int64_t step = 0;
  if (!name.starts_with(before)) return std::nullopt;
  std::from_chars(name.data() + before.size(), name.data() + name.size(), step);
  if (step < 0 || name != checkpoint_name(step)) return std::nullopt;
  return step;
}

RunDirectory::RunDirectory(fs::path dir, Open open, std::chrono::milliseconds patience,
                           const std::function<bool()>& asked_to_stop)
    : dir_(std::move(dir)) {
  make_folder(dir_);
  lock(patience, asked_to_stop);
  if (open == Open::fresh && holds_run()) {
    throw DataError(fmt::format(
        "{}: already holds a run; --resume continues it, --overwrite replaces it, or choose another run_dir",
        dir_.string()));
  }
  make_folder(dir_ / "checkpoints");
  remove_stale_files();
  if (open == Open::overwrite) remove_run();
}

void RunDirectory::lock(std::chrono::milliseconds patience, const std::function<bool()>& asked_to_stop) {
  const fs::path file = dir_ / ".lock";
  lock_.reset(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
  if (!lock_.valid()) throw_system_error(file, "cannot be opened");
  const auto deadline = steady_clock::now() + patience;
  while (::flock(lock_.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    if (errno != EWOULDBLOCK) throw_system_error(file, "cannot be locked");
    if (asked_to_stop()) {
      throw Error(ExitCode::stopped,
                  fmt::format("{}: stopped while another job still held its lock; nothing was written",
                              dir_.string()));
    }
    if (steady_clock::now() >= deadline) {
      throw DataError(
          fmt::format("{}: in use: another job has held its lock for the {:.1f} s waited; end that job, or "
                      "choose another "
                      "run_dir",
                      dir_.string(), std::chrono::duration<double>(patience).count()));
    }
    std::this_thread::sleep_for(
        std::min<steady_clock::duration>(poll_interval, deadline - steady_clock::now()));
  }
}

bool RunDirectory::holds_run() const {
  return is_there(config()) || is_there(metrics()) || is_there(final_file()) || is_there(best_file()) ||
         is_there(averaged_file()) ||
         !std::ranges::all_of(files_in(dir_ / "checkpoints"), AtomicFile::is_temporary);
}

void RunDirectory::remove_stale_files() const {
  for (const fs::path& folder : {dir_, dir_ / "checkpoints"}) {
    for (const fs::path& file : files_in(folder)) {
      if (AtomicFile::is_temporary(file)) remove_file(file);
    }
  }
}

void RunDirectory::remove_run() const {
  // Until its last file is gone the folder still holds a run, and one that --resume understands.
  remove_file(final_file());
  remove_kept_models();
  remove_file(latest_file());
  for (const fs::path& file : checkpoints()) remove_file(file);
  for (const fs::path& file : files_in(dir_)) {
    if (file.filename().string().starts_with("events.")) remove_file(file);
  }
  remove_file(digests());
  remove_file(metrics());
  remove_file(config());
}

void RunDirectory::remove_kept_models() const {
  remove_file(averaged_file());
  remove_file(best_file());
}

fs::path RunDirectory::config() const {
  return dir_ / "config.yaml";
}
fs::path RunDirectory::metrics() const {
  return dir_ / "metrics.jsonl";
}
fs::path RunDirectory::digests() const {
  return dir_ / "digests.jsonl";
}
fs::path RunDirectory::final_file() const {
  return dir_ / "final.safetensors";
}
fs::path RunDirectory::averaged_file() const {
  return dir_ / "final_ema.safetensors";
}
fs::path RunDirectory::best_file() const {
  return dir_ / "best.safetensors";
}
fs::path RunDirectory::latest_file() const {
  return dir_ / "checkpoints" / "latest";
}

fs::path RunDirectory::checkpoint(std::int64_t step) const {
  return dir_ / "checkpoints" / checkpoint_name(step);
}

bool RunDirectory::finished() const {
  return is_there(final_file());
}

std::optional<fs::path> RunDirectory::latest() const {
  const auto step = step_of_checkpoint(read_short_line(latest_file()));
  if (step && is_there(checkpoint(*step))) return checkpoint(*step);
  const std::vector<fs::path> all = checkpoints();
  if (all.empty()) return std::nullopt;
  return all.back();
}

std::vector<fs::path> RunDirectory::checkpoints() const {
  std::vector<fs::path> files = files_in(dir_ / "checkpoints");
  std::erase_if(files, [](const fs::path& file) {
    return !step_of_checkpoint(file.filename().string()) || type_of(file) != fs::file_type::regular;
  });
  std::ranges::sort(files, {},
                    [](const fs::path& file) { return *step_of_checkpoint(file.filename().string()); });
  return files;
}

void RunDirectory::committed(std::int64_t step) {
  if (!is_there(checkpoint(step))) {
    throw std::logic_error(fmt::format("{} was committed, but never written", checkpoint(step).string()));
  }
  write_text(latest_file(), checkpoint_name(step) + "\n");
}

void RunDirectory::prune(std::int64_t step, std::int64_t keep) const {
  const std::vector<fs::path> all = checkpoints();
  const auto excess = static_cast<std::int64_t>(all.size()) - std::max<std::int64_t>(keep, 1);
  for (std::int64_t i = 0; i < excess; ++i) {
    const fs::path& file = all[static_cast<std::size_t>(i)];
    if (file != checkpoint(step)) remove_file(file);
  }
}

void RunDirectory::write_text(const fs::path& file, std::string_view text) const {
  AtomicFile output(file);
  output.write(text);
  output.commit();
}

}  // namespace lockstep
