#!/usr/bin/perl

# The variables take no room in nginx's hash, which is nearly full with its own:
# beside some other modules nginx would warn of it. They are found all the same:
# by the configuration, and by scripts, which look for a name at run time.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use GraphPolicy qw(slurp spew);

my $module = $GraphPolicy::module;
my $temp   = File::Temp->newdir('graph_policy.XXXXXX', TMPDIR => 1);
mkdir "$temp/logs";

# what nginx says of a configuration
sub tested {
    my ($load, $http) = @_;

    spew("$temp/nginx.conf", <<"END");
@{[ $load ? "load_module $module;" : '' ]}
pid       $temp/pid;
error_log stderr;
events    {}
http {
    @{[ map { "${_}_temp_path $temp/$_;" }
        qw(client_body proxy fastcgi uwsgi scgi) ]}
    $http
}
END
    return scalar
        `$GraphPolicy::nginx_binary -t -p $temp -c $temp/nginx.conf 2>&1`;
}


# -- with so many variables of others, nginx warns if it warns without us

{
    my (@without, @with);

    for my $n (map { 5 * $_ } 0 .. 12) {
        my $http = join "\n",
            map { "map \$http_x \$a_variable_of_somebody_$_ { default 1; }" }
            1 .. $n;
        my $used = "graph_policy_zone zone=z:64k; graph_policy zone=z;\n$http";

        push @without, $n if tested(0, $http) =~ /variables_hash/;
        push @with,    $n if tested(1, $used) =~ /variables_hash/;
    }

    is("@with", "@without", 'a warning of the variables_hash comes with as '
        . 'many variables as without the module');
    isnt("@without", '', 'it does come');
}

unlike(tested(1, 'variables_hash_max_size 512; variables_hash_bucket_size 64;'),
    qr/emerg/, 'the size is left to the operator');


# -- a name that nobody knows is an error of the configuration

for my $name (qw(graph_policy_statu graph_policy_ graph_error_cod
    graph_error_codes))
{
    like(tested(1, "log_format x \$$name;"),
        qr/\[emerg\].* unknown "$name" variable/, "\$$name is unknown");
}

like(tested(1, 'map $http_x $graph_policy_status { default 1; }'),
    qr/\[emerg\].* duplicate "graph_policy_status" variable/,
    'a variable of ours is nobody else\'s');
like(tested(1, 'map $http_x $graph_policy_mine { default 1; } '
    . 'log_format x $graph_policy_mine;'), qr/test is successful/,
    'a name that only begins like ours is anybody\'s');


# -- by name: SSI looks a variable up when the page is made

my @names = qw(graph_policy_status graph_policy_phone graph_policy_credential
    graph_policy_request graph_error_category graph_policy_nothing
    graph_error_nothing);
my $page  = join ' ', map { qq(<!--# echo var="$_" default="-" -->) } @names;

my $nginx = GraphPolicy::Nginx->start(http => <<"END");
graph_policy_zone zone=z:64k;
server {
    listen 127.0.0.1:%PORT%;
    location / {
        graph_policy zone=z;
        ssi          on;
        default_type text/html;
        return 200 '$page';
    }
}
END

my $answer = $nginx->request(
    raw => "GET /v25.0/1001?access_token=s3cret HTTP/1.0\r\n\r\n");

like($answer->{body}, qr{^PASSED[ ]1001[ ][0-9a-f]{16}[ ]
    GET[ ]/v25.0/1001\?access_token=\*\*\*[ ]HTTP/1.0[ ]-[ ]-[ ]-$}x,
    'they are found by name');

$nginx->stop('QUIT');
is(join("\n", $nginx->complaints), '', 'nothing is wrong');

done_testing();
