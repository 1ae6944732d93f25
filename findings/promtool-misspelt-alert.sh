#!/usr/bin/env bash
#
# promtool 2.42.0: a test of an alert that doesn't exist succeeds.
#
# Unknown members of a test file are errors, and so is a rule file that isn't
# there; one would expect the same of "alertname". Where a test says that an
# alert doesn't fire (exp_alerts is empty), a name that no rule has passes, for
# an alert that isn't there doesn't fire either. So renaming an alert, or a slip
# of the pen, turns half of its tests into nothing, and the report stays
# "SUCCESS". Each alert needs one test in which it fires, and a check that the
# names in the tests are those of the rules.
#
# Runs a test with the right name and one with a wrong one, for an alert that
# fires and for one that doesn't; prints the results. Exits 1 if one differs.

set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

cd "$dir"
apt-get download prometheus=2.42.0+ds-5+deb12u1 >log 2>&1 \
    || { cat log; exit 2; }
dpkg -x prometheus_*.deb root

cat >rules.yml <<'END'
groups:
  - name: graph
    rules:
      - alert: Paused
        expr: graph_policy_states > 0
END

test_of() { # a name, a value, what is expected
    cat <<END
rule_files: [rules.yml]
tests:
  - interval: 1m
    input_series:
      - series: graph_policy_states
        values: '$2 $2'
    alert_rule_test:
      - eval_time: 1m
        alertname: $1
        exp_alerts: [$3]
END
}

test_of Paused 0 '' >right-quiet.yml
test_of Pausde 0 '' >wrong-quiet.yml
test_of Pausde 1 '' >wrong-quiet-though-it-fires.yml
test_of Paused 1 '{}' >right-fires.yml
test_of Pausde 1 '{}' >wrong-fires.yml
sed 's/alertname/alert_name/' right-quiet.yml >wrong-member.yml

for test in *-*.yml; do
    if root/usr/bin/promtool test rules "$test" >>log 2>&1; then
        echo "$test: SUCCESS"
    else
        echo "$test: FAILED"
    fi
done >seen

root/usr/bin/promtool --version 2>&1 | head -n 1
cat seen

if [ "$(sed 's/\.yml: / /' seen | grep -c SUCCESS)" = 4 ] \
    && grep -q '^wrong-quiet\.yml: SUCCESS' seen \
    && grep -q '^wrong-quiet-though-it-fires\.yml: SUCCESS' seen \
    && grep -q '^wrong-fires\.yml: FAILED' seen \
    && grep -q '^wrong-member\.yml: FAILED' seen
then
    echo 'behaviour: a test that an unknown alert is quiet succeeds'
else
    echo 'changed: unknown alerts are treated otherwise'
    exit 1
fi
