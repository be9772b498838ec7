#include "trainer/loop/start.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "comm/base/log.h"
#include "comm/base/text.h"
#include "trainer/config/config.h"
#include "trainer/loop/agree.h"
#include "trainer/loop/digests.h"
#include "trainer/loop/weights.h"
#include "trainer/optim/schedule.h"

namespace lockstep {
namespace {

// The newest checkpoint, else the finished model, which tells at least that the run is over.
std::filesystem::path newest(const RunDirectory& directory) {
  if (const auto checkpoint = directory.latest()) return *checkpoint;
  return directory.finished() ? directory.final_file() : std::filesystem::path();
}

void check_data(const Facts& then, const Session& session, const std::string& file) {
  const Inputs& now = session.inputs();
  const auto& pixels = now.transform.normalization();
  if (then.train_digest == now.train_digest && then.normalization.mean == pixels.mean &&
      then.normalization.deviation == pixels.deviation) {
    return;
  }
  const auto training_set = [](std::int64_t samples, const std::string& digest, const auto& normalization) {
    return fmt::format("{} samples with mean {} and deviation {}, pixels and labels {}", samples,
                       normalization.mean, normalization.deviation, digest);
  };
  throw DataError(
      fmt::format("{}: the training set is not the one that the run was trained on:\n  then {}\n  now  {}",
                  file, training_set(then.samples, printable(then.train_digest), then.normalization),
                  training_set(now.data.train->size(), now.train_digest, pixels)));
}

// The digest of the file of train.init_from; nothing where it is gone, which no checkpoint minds.
std::optional<std::string> digest_if_there(const std::string& file) {
  try {
    return digest(read_whole_file(file).all());
  } catch (const DataError&) {
    return std::nullopt;
  }
}

void check_beginning(const Facts& then, const std::string& init_from, const std::string& file) {
  const std::string began = then.init_digest.empty()
                                ? "at random weights"
                                : fmt::format("at weights of digest {}", printable(then.init_digest));
  if (init_from.empty() != then.init_digest.empty()) {
    throw DataError(fmt::format("{}: the run began {}, but train.init_from is {}; set it as it was then",
                                file, began, init_from.empty() ? "not set" : init_from));
  }
  if (init_from.empty()) return;
  const std::string now = digest_if_there(init_from).value_or(then.init_digest);
  if (now == then.init_digest) return;
  throw DataError(fmt::format("{}: the run began {}, but train.init_from, {}, has the digest {}", file, began,
                              init_from, now));
}

}  // namespace

void begin(Communicator& comm, Session& session) {
  session.model().initialize();
  const std::string& file = session.config().train.init_from;
  if (file.empty()) return;
  FileBytes contents = broadcast_file(comm, file);
  agree(comm, "load weights", [&] {
    session.init_digest() = digest(contents.all());
    const auto weights = SafetensorsFile::parse(std::move(contents.contents), contents.bytes, file);
    load_weights(weights, file, session.model());
  });
}

FileBytes broadcast_file(Communicator& comm, const std::filesystem::path& file) {
  constexpr std::size_t chunk = 4 << 20;
  FileBytes sent;
  agree(comm, "read checkpoint", [&] {
    if (comm.rank() == 0) sent = read_whole_file(file);
  });
  sent.bytes =
      static_cast<std::size_t>(from_rank_0(comm, "checkpoint size", static_cast<std::int64_t>(sent.bytes)));
  agree(comm, "checkpoint memory", [&] {
    if (comm.rank() != 0) sent.contents = Buffer(sent.bytes);
  });
  const std::span<std::byte> all(sent.contents.data(), sent.bytes);
  for (std::size_t begin = 0; begin < sent.bytes; begin += chunk) {
    const auto piece = all.subspan(begin, std::min(chunk, sent.bytes - begin));
    comm.broadcast(Lane::statistics, "checkpoint", piece, 0).wait();
  }
  return sent;
}

void check_continues(const Config& before, const Config& now, const std::string& file) {
  Config comparable = before;
  if (extends(before.schedule, now.schedule)) comparable.schedule = now.schedule;
  std::int64_t& patience = comparable.train.early_stopping.patience;
  if (patience > 0) patience = std::max(patience, now.train.early_stopping.patience);
  const auto changed = differences(result_json(comparable), result_json(now));
  if (changed.empty()) return;
  throw DataError(fmt::format(
      "{}: this run cannot go on with keys changed that determine its result:\n  {}\nChange them back, or "
      "start another run with another run_dir or --overwrite.",
      file, fmt::join(changed, "\n  ")));
}

Start find_start(Communicator& comm, const RunDirectory* directory, Session& session) {
  std::filesystem::path file;
  bool was_finished = false;
  agree(comm, "look for checkpoint", [&] {
    if (directory == nullptr) return;
    file = newest(*directory);
    was_finished = directory->finished();
  });
  if (from_rank_0(comm, "has checkpoint", file.empty() ? 0 : 1) == 0) {
    begin(comm, session);
    return Start::afresh;
  }
  was_finished = from_rank_0(comm, "finished", was_finished ? 1 : 0) != 0;

  FileBytes contents = broadcast_file(comm, file);
  Start start = Start::resumed;
  agree(comm, "load checkpoint", [&] {
    // Only rank 0 knows the file's name, and only its message is told.
    const std::string name = file.string();
    const auto checkpoint = SafetensorsFile::parse(std::move(contents.contents), contents.bytes, name);
    const Facts facts = read_facts(checkpoint.metadata(), name);
    check_continues(read_config(checkpoint.metadata(), name), session.config(), name);
    check_data(facts, session, name);
    if (comm.rank() == 0) check_beginning(facts, session.config().train.init_from, name);
    if (was_finished && facts.step >= session.steps().total) {
      start = Start::finished;
      return;
    }
    if (load_tensors(checkpoint, name, session.state(), Purpose::resume)) {
      session.precise_made();
    } else if (session.frozen()) {
      throw DataError(fmt::format(
          "{}: it has no precise statistics, and frozen ones cannot be made again from later weights", name));
    }
    session.init_digest() = facts.init_digest;
    if (was_finished && session.is_over()) start = Start::finished;
  });
  return start;
}

}  // namespace lockstep
