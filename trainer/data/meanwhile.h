#pragma once

#include <functional>

namespace lockstep {

// What the caller of something long wants done now and then while it lasts: on the thread that called,
// between two samples. What it throws ends the call.
using Meanwhile = std::function<void()>;

}  // namespace lockstep
