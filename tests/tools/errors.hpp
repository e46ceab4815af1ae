// The error that a piece of code throws.
#pragma once

#include <attn/error.hpp>

#include <optional>
#include <string>

#include <doctest/doctest.h>

namespace attn::testing {

/// Fails the test when `body` throws none.
template <class Body>
Error error_of(Body&& body) {
  try {
    body();
  } catch (const Error& error) {
    return error;
  }
  FAIL("no error was thrown");
  return {Status::defect, ""};
}

/// Nothing when `body` throws none.
template <class Body>
std::optional<Status> status_of(Body&& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.status();
  }
  return std::nullopt;
}

/// Checks that `body` throws an error with this status, whose message has `part` in it.
template <class Body>
void check_refused(Body&& body, Status status, const std::string& part) {
  try {
    body();
    FAIL_CHECK("nothing was refused");
  } catch (const Error& error) {
    CHECK(error.status() == status);
    CHECK_MESSAGE(std::string(error.what()).find(part) != std::string::npos, error.what());
  }
}

}  // namespace attn::testing
