#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "comm/communicator.h"

// Signs of life of this process, which the watchdog reads. What counts: a piece of computing that ended, a
// sample that was read, a collective that was started or polled (for how long it is polled, it has its own
// deadline). They come from any thread and cost nothing that could be measured.
namespace lockstep {

void alive() noexcept;

// Where the run is, and the collective that it started last, to be named where it stands still.
void alive_in(std::string_view phase);
void alive_in(const CallSite& call);

// The launcher has asked this process to end, and will kill it soon: a worker that waits for another says so
// at once. May be called by a signal handler.
void told_to_end() noexcept;
bool is_told_to_end() noexcept;

// How many signs there were.
std::uint64_t signs_of_life() noexcept;
// "phase 'checkpoint', behind all_gather 'go on' (statistics #42, step 7)"
std::string last_place();

}  // namespace lockstep
