#include "trainer/loop/agree.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <span>

#include "trainer/loop/lacking.h"

namespace lockstep {
namespace {

std::vector<std::size_t> one_each(const Communicator& comm) {
  std::vector<std::size_t> counts(static_cast<std::size_t>(comm.size()), 1);
  return counts;
}

// Gives the collectives of a scope a little more time than what they wait for may take.
class Patience {
 public:
  explicit Patience(Communicator& comm) : comm_(comm), before_(comm.timeout()) {
    comm.set_timeout(before_ + std::chrono::seconds(3));
  }
  ~Patience() { comm_.set_timeout(before_); }
  Patience(const Patience&) = delete;
  Patience& operator=(const Patience&) = delete;

 private:
  Communicator& comm_;
  std::chrono::milliseconds before_;
};

// A failure as text, so that it can be gathered: one character of exit code, then the message.
std::string encode(ExitCode code, std::string_view message) {
  return static_cast<char>(code) + std::string(message);
}

std::string attempt(const std::function<void()>& work) {
  try {
    work();
    return "";
  } catch (const CommError&) {
    throw;
  } catch (const Error& error) {
    return encode(error.code(), error.what());
  } catch (const std::exception& error) {
    const auto lack = lacking(error);
    return lack ? encode(lack->code, lack->what) : encode(ExitCode::bug, error.what());
  }
}

[[noreturn]] void rethrow(const std::string& failure, const std::string& message) {
  const auto code = static_cast<ExitCode>(failure.front());
  switch (code) {
    case ExitCode::usage:
      throw UsageError(message);
    case ExitCode::data:
      throw DataError(message);
    case ExitCode::diverged:
      throw DivergedError(message);
    case ExitCode::peer:
    case ExitCode::stopped:
      throw Error(code, message);
    default:
      throw std::logic_error(message);
  }
}

}  // namespace

std::int64_t largest(Communicator& comm, std::string_view name, std::int64_t mine) {
  std::vector<std::int64_t> all(static_cast<std::size_t>(comm.size()));
  comm.all_gather(Lane::statistics, name, std::span<const std::int64_t>(&mine, 1), std::span(all),
                  one_each(comm))
      .wait();
  return *std::max_element(all.begin(), all.end());
}

std::int64_t from_rank_0(Communicator& comm, std::string_view name, std::int64_t value) {
  comm.broadcast(Lane::statistics, name, std::span(&value, 1), 0).wait();
  return value;
}

void agree(Communicator& comm, std::string_view name, const std::function<void()>& work) {
  const std::string failure = attempt(work);
  const Patience patience(comm);
  const auto failures = gather_texts(comm, name, failure);
  const auto first =
      std::find_if(failures.begin(), failures.end(), [](const std::string& text) { return !text.empty(); });
  if (first == failures.end()) return;

  const bool alike =
      std::all_of(failures.begin(), failures.end(), [&](const std::string& text) { return text == *first; });
  const auto hosts = gather_texts(comm, name, host_name());
  const std::string message = first->substr(1);
  const auto rank = static_cast<std::size_t>(first - failures.begin());
  // What rank 0 alone does (the run directory) needs no name of a rank.
  rethrow(*first,
          alike || rank == 0 ? message : fmt::format("rank {} on {}: {}", rank, hosts[rank], message));
}

std::string differing(Communicator& comm, std::string_view name, const std::string& mine) {
  const auto texts = gather_texts(comm, name, mine);
  const auto hosts = gather_texts(comm, name, host_name());
  std::string lines;
  for (std::size_t rank = 0; rank < texts.size(); ++rank) {
    if (rank != 0 && texts[rank] == texts[0]) continue;
    lines += fmt::format("\n  rank {} on {}: {}", rank, hosts[rank], texts[rank]);
  }
  const bool alike =
      std::all_of(texts.begin(), texts.end(), [&](const auto& text) { return text == texts[0]; });
  return alike ? "" : lines;
}

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "unknown host";
}

int workers_on_host(Communicator& comm) {
  return workers_alike(comm, "hosts", host_name());
}

int workers_alike(Communicator& comm, std::string_view name, const std::string& mine) {
  const auto texts = gather_texts(comm, name, mine);
  return static_cast<int>(std::count(texts.begin(), texts.end(), mine));
}

}  // namespace lockstep
