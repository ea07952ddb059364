"""A body that both `test_coap` and its peer make."""


def body(length):
    """Bytes that no shift of blocks leaves the same."""
    return bytes((index * 7 + index // 251) % 256 for index in range(length))
