#!/usr/bin/env python3
"""The addresses that nothing is sent to, written without a look at Tidings' own list.

Python's `ipaddress` knows IANA's special-purpose registries; what it lacks, or calls global although no receiver lives
there, is added below. Prints `count` addresses of both families, each with `+` (may be sent to) or `-`; half of them lie
at the border of a network, where mistakes are made. Usage: forbidden.py COUNT SEED
"""

import ipaddress
import random
import sys

# Beside what `is_global` refuses.
ALSO = """
    192.0.0.0/24 192.31.196.0/24 192.52.193.0/24 192.88.99.0/24 192.175.48.0/24
    224.0.0.0/4 240.0.0.0/4
    100.100.100.200/32 168.63.129.16/32 161.26.0.0/16 166.8.0.0/14 199.36.153.4/30 199.36.153.8/30
    ::/8 64:ff9b::/32 2001::/23 2001:db8::/32 2002::/16 2620:4f:8000::/48 3fff::/20 5f00::/16
    fc00::/7 fe80::/10 fec0::/10 ff00::/8 fd00:ec2::254/128 fd20:ce::254/128
"""
# Borders worth a visit, forbidden or not.
VISIT = """
    0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 169.254.169.254/32 172.16.0.0/12 192.0.2.0/24
    192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 255.255.255.255/32 8.8.8.8/32
    ::/128 ::1/128 ::/96 ::ffff:0:0/96 100::/64 2000::/3 2001:200::/23 2001:4860::/32 2003::/16 2a00::/12 4000::/2 8000::/1
    ::ffff:7f00:0/104 64:ff9b::7f00:0/104 2002:7f00::/24 2002:a00::/24 2001:0:7f00::/48 3ffe::/16
"""


def networks(text):
    return [ipaddress.ip_network(word) for word in text.split()]


FORBIDDEN = networks(ALSO)
RANGES = {
    version: [(int(n.network_address), int(n.broadcast_address)) for n in FORBIDDEN if n.version == version]
    for version in (4, 6)
}
BORDERS = FORBIDDEN + networks(VISIT)
UNICAST = ipaddress.ip_network("2000::/3")


def may_be_sent_to(address):
    if not address.is_global or address.is_multicast or address.is_reserved or address.is_unspecified:
        return False
    number = int(address)
    if any(first <= number <= last for first, last in RANGES[address.version]):
        return False
    if address.version == 6:
        is_isatap = (number >> 32) & 0xFDFFFFFF == 0x00005EFE
        return address in UNICAST and not is_isatap
    return True


def addresses(count, chance):
    kinds = {4: ipaddress.IPv4Address, 6: ipaddress.IPv6Address}
    last = {4: 2**32 - 1, 6: 2**128 - 1}
    for number in range(count):
        if number % 2:
            network = chance.choice(BORDERS)
            version = network.version
            border = chance.choice([network.network_address, network.broadcast_address])
            value = int(border) + chance.choice([-2, -1, 0, 1, 2, chance.randrange(-(2**16), 2**16)])
        elif number % 4:
            version, value = 4, chance.getrandbits(32)
        else:
            # Half of IPv6 in the eighth that is unicast, of that some with the mark of ISATAP.
            version, value = 6, chance.getrandbits(128)
            if chance.random() < 0.5:
                value = value >> 3 | 1 << 125
            if chance.random() < 0.05:
                value = value & ~(0xFDFFFFFF << 32) | 0x5EFE << 32
        yield kinds[version](min(max(value, 0), last[version]))


def main():
    count, seed = int(sys.argv[1]), int(sys.argv[2])
    write = sys.stdout.write
    for address in addresses(count, random.Random(seed)):
        write(f"{'+' if may_be_sent_to(address) else '-'} {address}\n")


main()
