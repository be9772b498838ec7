#pragma once

#include <cstddef>
#include <list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "comm/communicator.h"

namespace lockstep {

// A collective as one worker started it.
struct Call {
  CallSite site;
  std::vector<std::size_t> sends;     // bytes to each worker
  std::vector<std::size_t> receives;  // bytes from each worker
};

// What two workers must call alike at one place of a lane, in one number.
std::uint64_t order_key(const CallSite& site);

// The last collectives that one worker started, the newest first. What workers tell each other once something
// is wrong, and from which they see whose calls do not fit.
class CallHistory {
 public:
  void record(const CallSite& site, std::span<const std::size_t> sends,
              std::span<const std::size_t> receives);

  const std::list<Call>& calls() const { return calls_; }
  // The call at one place; null where it was not started, or too long ago.
  const Call* at(Lane lane, std::uint64_t sequence) const;

  // As text of at most so many bytes, without the calls for which there is no room. `decode` reads it, and
  // ends where the text is no such text.
  std::string encode(std::size_t most) const;
  static CallHistory decode(std::string_view text);

 private:
  static constexpr std::size_t kept = 64;  // more than run ahead of the others in one step

  std::list<Call> calls_;
};

// How the calls of two workers at one place contradict each other: both named, with who started which. Empty
// where they fit.
std::string contradiction(int rank, const Call& mine, int other, const Call& theirs);

// What all histories say together about why `asking`'s call does not end: the first calls that contradict
// each other, else which of the workers has not come to the call and what it is at. `told[r]` is rank r's
// history, or nothing where no word came from it. `names[r]` is what rank r is called.
std::string verdict(const CallSite& call, int asking, std::span<const std::optional<CallHistory>> told,
                    std::span<const std::string> names);

}  // namespace lockstep
