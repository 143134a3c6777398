# A warm server (docs/task-yaml.md): what every index needs is made once, then each index is a fork of it.
use strict;
use warnings;
use POSIX ();

my $limit    = 1_000_000;
my $composite = "\0" x ($limit + 1);
for (my $n = 2; $n * $n <= $limit; $n++) {
    next if vec($composite, $n, 8);
    for (my $m = $n * $n; $m <= $limit; $m += $n) { vec($composite, $m, 8) = 1 }
}

# One index: in how many ways an even number is the sum of two primes.
sub work {
    my (undef, $number, $file) = @_;
    my $ways = 0;
    for my $n (2 .. $number / 2) { $ways++ if !vec($composite, $n, 8) && !vec($composite, $number - $n, 8) }
    open(my $out, '>', $file) or die "$file: $!\n";
    print $out "$number $ways\n";
    close($out) or die "$file: $!\n";
    return 0;
}

open(my $tnode, '+<&=', 3) or die "it is started by tnode: $!\n";
syswrite($tnode, "ready\n");
while (1) {
    my $line = readline($tnode) // exit 0;
    my (undef, $argc, $envc, $size) = split ' ', $line;
    read($tnode, my $strings, $size) == $size or exit 0;
    my @strings = split /\0/, $strings, -1;
    my @argv = @strings[0 .. $argc - 1];
    my %env = map { split /=/, $_, 2 } @strings[$argc .. $argc + $envc - 1];

    my $index = fork() // die "fork: $!\n";
    if ($index) {
        waitpid($index, 0);
        syswrite($tnode, $? & 127 ? 'killed ' . ($? & 127) . "\n" : 'exited ' . ($? >> 8) . "\n");
        next;
    }
    close($tnode);
    POSIX::setsid();
    %ENV = %env;
    exit work(@argv);
}
